// A site's process.
import { serve } from '../worker.ts';
import { SiteTasks } from './tasks.ts';

serve(new SiteTasks());
