import { Command, Help, type Option } from 'commander';
import { VERSION } from '../version.ts';

/** A file of commands. */
interface CommandFile {
  readonly names: readonly string[];
  /** Loads the file. @returns what adds its commands */
  readonly load: () => Promise<(program: Command) => void>;
}

/** The files by the heading of their commands, in the order of the help. A file is loaded when a command in it is chosen. */
export const COMMAND_FILES: Readonly<Record<string, readonly CommandFile[]>> = {
  'Sites:': [
    { names: ['pair'], load: async () => (await import('./pair.ts')).addPair },
    { names: ['primary', 'secondary'], load: async () => (await import('./site.ts')).addSites },
    { names: ['check-config'], load: async () => (await import('./check-config.ts')).addCheckConfig },
  ],
  'Data:': [
    { names: ['get', 'put', 'merge', 'delete', 'patch'], load: async () => (await import('./data.ts')).addDataCommands },
    { names: ['import'], load: async () => (await import('./import.ts')).addImport },
    { names: ['export'], load: async () => (await import('./export.ts')).addExport },
    { names: ['watch'], load: async () => (await import('./watch.ts')).addWatch },
  ],
  'History:': [
    { names: ['history', 'show'], load: async () => (await import('./history.ts')).addHistory },
    { names: ['diff', 'blame', 'find'], load: async () => (await import('./past.ts')).addPast },
    { names: ['mark', 'marks', 'unmark'], load: async () => (await import('./marks.ts')).addMarks },
    { names: ['revert'], load: async () => (await import('./revert.ts')).addRevert },
  ],
  'Operation:': [
    { names: ['status'], load: async () => (await import('./status.ts')).addStatus },
    { names: ['switchover', 'promote'], load: async () => (await import('./roles.ts')).addRoles },
    { names: ['divergences'], load: async () => (await import('./divergences.ts')).addDivergences },
    { names: ['compare'], load: async () => (await import('./compare.ts')).addCompare },
    { names: ['snapshot', 'reload', 'forget'], load: async () => (await import('./administration.ts')).addAdministration },
    { names: ['verify'], load: async () => (await import('./verify.ts')).addVerify },
    { names: ['replay'], load: async () => (await import('./replay.ts')).addReplay },
    { names: ['timestamp'], load: async () => (await import('./timestamp.ts')).addTimestamp },
  ],
  'Backup:': [
    { names: ['backup'], load: async () => (await import('./backup.ts')).addBackup },
    { names: ['backups'], load: async () => (await import('./backups.ts')).addBackups },
    { names: ['restore'], load: async () => (await import('./restore.ts')).addRestore },
    { names: ['drill'], load: async () => (await import('./drill.ts')).addDrill },
    { names: ['prune'], load: async () => (await import('./prune.ts')).addPrune },
  ],
  'Shell:': [{ names: ['completion'], load: async () => (await import('./completion.ts')).addCompletion }],
};

/** Commander's heading for options without one. */
const OWN_GROUP = 'Options:';

const ABOUT = `Keeps a live, verified copy of a data tree on a second site: a primary takes the writes, secondaries follow it.`;

const AFTER = `
Start with:
  evertree pair                              a primary and a secondary on this machine
  evertree put /hello '"world"'              write at the primary
  evertree get /hello --url 127.0.0.1:8182   read at the secondary
  evertree history /hello                    what changed there, when, and by whom
  evertree backup /mnt/backups/hello         all of it, kept elsewhere

A path is a JSON pointer (RFC 6901): /devices/r1, or "" for the whole tree.
Commands that talk to a site read EVERTREE_URL, EVERTREE_TOKEN_FILE and EVERTREE_CA; those that write, EVERTREE_AUTHOR.
Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused by the site's state.`;

/**
 * The command line. It has all commands, unless the arguments begin with the name of one: the others are then nothing to
 * it, and their files are not loaded.
 */
export async function evertreeCommand(args: readonly string[]): Promise<Command> {
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
    .configureHelp({ sortOptions: false, showGlobalOptions: false, groupItems: ownFirst })
    .addHelpText('after', AFTER);
  const files = Object.entries(COMMAND_FILES).flatMap(([heading, each]) => each.map(file => ({ heading, ...file })));
  const chosen = files.filter(({ names }) => names.includes(args[0] ?? ''));
  const loaded = await Promise.all((chosen.length > 0 ? chosen : files).map(async ({ heading, load }) => ({ heading, add: await load() })));
  for (const { heading, add } of loaded) {
    program.commandsGroup(heading);
    add(program);
  }
  return program;
}

/** Groups as commander does, but puts a command's own options before those that it shares with others. */
function ownFirst<Item extends Command | Option>(all: Item[], visible: Item[], groupOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Help().groupItems(all, visible, groupOf);
  const own = groups.get(OWN_GROUP);
  groups.delete(OWN_GROUP);
  return own === undefined ? groups : new Map([[OWN_GROUP, own], ...groups]);
}
