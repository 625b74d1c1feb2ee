// The process of a site that may lead or follow.
import { serve } from '../worker.ts';
import { RoleTasks } from './role-tasks.ts';

serve(new RoleTasks());
