// The process of a site that archives, is archived, or is restored.
import { serve } from '../worker.ts';
import { ArchiveTasks } from './archive-tasks.ts';

serve(new ArchiveTasks());
