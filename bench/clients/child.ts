// A process with one end of a client of Kafka.
import { serve } from '../worker.ts';
import { ClientTasks } from './tasks.ts';

serve(new ClientTasks());
