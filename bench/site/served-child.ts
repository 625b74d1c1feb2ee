// The process of a site that answers over HTTP.
import { serve } from '../worker.ts';
import { ServedTasks } from './served-tasks.ts';

serve(new ServedTasks());
