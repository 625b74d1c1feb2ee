import { Command } from 'commander';
import { VERSION } from '../version.ts';
import { addAdministration } from './administration.ts';
import { addBackup } from './backup.ts';
import { addCheckConfig } from './check-config.ts';
import { addCompare } from './compare.ts';
import { addDataCommands } from './data.ts';
import { addDivergences } from './divergences.ts';
import { addDrill } from './drill.ts';
import { addExport } from './export.ts';
import { addHistory } from './history.ts';
import { addImport } from './import.ts';
import { addBackups } from './backups.ts';
import { addMarks } from './marks.ts';
import { addPair } from './pair.ts';
import { addPast } from './past.ts';
import { addPrune } from './prune.ts';
import { addRestore } from './restore.ts';
import { addRevert } from './revert.ts';
import { addPrimary, addSecondary } from './site.ts';
import { addReplay } from './replay.ts';
import { addRoles } from './roles.ts';
import { addStatus } from './status.ts';
import { addTimestamp } from './timestamp.ts';
import { addVerify } from './verify.ts';
import { addWatch } from './watch.ts';

const ABOUT = `Keeps a live, verified copy of a data tree on a second site: a primary takes the writes, secondaries follow it.`;

const AFTER = `
Start with:
  evertree pair                             a primary and a secondary on this machine
  evertree put /hello '"world"'             write at the primary
  evertree get /hello --url http://127.0.0.1:8182   read at the secondary
  evertree history /hello                   what changed there, when, and by whom
  evertree backup /mnt/backups/hello        all of it, kept elsewhere

A path is a JSON pointer (RFC 6901): /devices/r1, or "" for the whole tree.
Commands that talk to a site read EVERTREE_URL, EVERTREE_TOKEN_FILE and EVERTREE_CA; those that write, EVERTREE_AUTHOR.
Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused by the site's state.`;

/** The whole command line. */
export function evertreeCommand(): Command {
  const program = new Command('evertree');
  program
    .description(ABOUT)
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    // Options after a command are that command's: "divergences" and "divergences show" both have --url.
    .enablePositionalOptions()
    .showHelpAfterError('(--help tells how it is used)')
    .exitOverride()
    .configureHelp({ sortOptions: false, showGlobalOptions: false })
    .addHelpText('after', AFTER);
  program.commandsGroup('Sites:');
  addPair(program);
  addPrimary(program);
  addSecondary(program);
  addCheckConfig(program);
  program.commandsGroup('Data:');
  addDataCommands(program);
  addImport(program);
  addExport(program);
  addWatch(program);
  program.commandsGroup('History:');
  addHistory(program);
  addPast(program);
  addMarks(program);
  addRevert(program);
  program.commandsGroup('Operation:');
  addStatus(program);
  addRoles(program);
  addDivergences(program);
  addCompare(program);
  addAdministration(program);
  addVerify(program);
  addReplay(program);
  addTimestamp(program);
  program.commandsGroup('Backup:');
  addBackup(program);
  addBackups(program);
  addRestore(program);
  addDrill(program);
  addPrune(program);
  return program;
}
