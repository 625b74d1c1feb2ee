import type { Disk, Reporter } from '@evertree/core';
import { asError, readStateFile, writeStateFile } from '@evertree/journal/files';

/** The file in a site's directory that names the lines it writes: FORMAT.md, «archive.json». */
const LINE_FILE = 'archive.json';
const LINE_FILE_VERSION = 1;

/** The line of this directory in one archive. */
export interface LineNote {
  readonly archive: string;
  readonly line: string;
  /** The run that the archive's manifest has for the line, if nobody else took it. */
  readonly run: string;
  /** A run that was about to be published when this was written: the manifest may have it as well. */
  readonly next?: string;
  /** The name that the target had last. */
  readonly target: string;
}

/**
 * The lines that a directory writes, one for each archive. They are bound to the directory's mark: a copy of it, and a
 * directory that was restored elsewhere, begin lines of their own.
 */
export class LineFile {
  readonly #disk: Disk;
  readonly #report: Reporter;
  readonly #mark: string;
  #notes: readonly LineNote[];
  /** The archives whose lines were recorded here: of the others the file knows more than this. */
  readonly #own = new Set<string>();

  private constructor(disk: Disk, report: Reporter, read: { readonly mark: string; readonly notes: readonly LineNote[] }) {
    this.#disk = disk;
    this.#report = report;
    this.#mark = read.mark;
    this.#notes = read.notes;
  }

  /** A file that can't be read, or is of another directory, names no lines. */
  static async open(disk: Disk, report: Reporter): Promise<LineFile> {
    const mark = await disk.mark();
    return new LineFile(disk, report, { mark, notes: await readNotes(disk, mark) });
  }

  find(archive: string): LineNote | undefined {
    return this.#notes.find(note => note.archive === archive);
  }

  /** The archive that this directory wrote to last in a target; undefined if it is not known. */
  archiveIn(target: string): string | undefined {
    return this.#notes.findLast(note => note.target === target)?.archive;
  }

  /** Records a line durably. Without room on the disk it lives on in memory: the next start begins another line then. */
  async write(note: LineNote): Promise<void> {
    this.#own.add(note.archive);
    const own = [...this.#notes.filter(({ archive }) => archive !== note.archive && this.#own.has(archive)), note];
    this.#notes = [...this.#notes.filter(({ archive }) => !this.#own.has(archive)), ...own];
    try {
      // A backup to another archive may have written the file since.
      this.#notes = [...(await readNotes(this.#disk, this.#mark)).filter(({ archive }) => !this.#own.has(archive)), ...own];
      await writeStateFile(this.#disk, LINE_FILE, { format: LINE_FILE_VERSION, directory: this.#mark, archives: this.#notes });
    } catch (error) {
      const message = `${LINE_FILE} could not be written (${asError(error).message}); after the next start this site begins another line in the archive, with an image of all its data`;
      this.#report({ level: 'warn', event: 'archive-line-not-written', message, details: { error } });
    }
  }
}

async function readNotes(disk: Disk, mark: string): Promise<LineNote[]> {
  const text = await readStateFile(disk, LINE_FILE);
  return text === undefined ? [] : notesOf(text, mark);
}

function notesOf(text: string, mark: string): LineNote[] {
  try {
    const { format, directory, archives } = JSON.parse(text) as Record<string, unknown>;
    if (format !== LINE_FILE_VERSION || directory !== mark || !Array.isArray(archives)) return [];
    return archives
      .filter(isNote)
      .map(({ archive, line, run, next, target }) => ({ archive, line, run, ...(next === undefined ? {} : { next }), target }));
  } catch {
    // A line that is not known any more costs an image, and no history.
    return [];
  }
}

function isNote(value: unknown): value is LineNote {
  if (typeof value !== 'object' || value === null) return false;
  const { archive, line, run, next, target } = value as Record<string, unknown>;
  return [archive, line, run, target].every(each => typeof each === 'string') && (next === undefined || typeof next === 'string');
}
