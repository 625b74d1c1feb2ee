// One of the two processes of the client written by hand.
import { serve } from '../worker.ts';
import { ByHandTasks } from './tasks.ts';

serve(new ByHandTasks());
