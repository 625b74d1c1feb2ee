// The process of a site whose history is asked about.
import { serve } from '../worker.ts';
import { HistoryTasks } from './history-tasks.ts';

serve(new HistoryTasks());
