import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';

// What a run of the tests itself does for real servers that suites need: its workers are processes of their own.

/** The run listens there for its workers. */
export interface RunServer {
  readonly url: string;
  close(): void;
}

/** Answers the workers of a run: by path, with a text. An error is answered with its message. */
export async function answerWorkers(answers: Readonly<Record<string, () => Promise<string>>>): Promise<RunServer> {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? '']?.() ?? Promise.reject(new Error(`nobody answers ${request.url}`));
    answer.then(
      text => response.end(text),
      (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A worker asks its run. @throws with what it answers */
export async function askRun(url: string, path: string): Promise<string> {
  const response = await fetch(new URL(path, url));
  const answer = await response.text();
  if (!response.ok) throw new Error(answer);
  return answer;
}

/** The closing lines of a run: which suites did not run, and what helps. */
export function tellMissed(project: TestProject, mark: 'needsKafka' | 'needsS3', server: string, obstacle: string): void {
  const missed: string[] = [];
  let tests = 0;
  for (const file of project.vitest.state.getTestModules()) {
    for (const suite of file.children.allSuites()) {
      // The suites inside it bear its mark, too.
      const isWhole = suite.parent.type === 'module' || suite.parent.meta()[mark] !== true;
      if (suite.meta()[mark] !== true || !isWhole) continue;
      const count = [...suite.children.allTests()].length;
      tests += count;
      missed.push(`  ${file.relativeModuleId}: ${suite.fullName} (${count})`);
    }
  }
  if (missed.length === 0) return;
  const lines = ['', `${tests} TESTS DID NOT RUN, for want of ${server}:`, ...missed, obstacle, ''];
  project.vitest.logger.log(lines.join('\n'));
}
