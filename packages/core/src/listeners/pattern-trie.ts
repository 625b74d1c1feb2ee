import type { Path } from '../tree/path.ts';
import { any, type Pattern } from './pattern.ts';

class TrieNode<Item> {
  readonly items = new Set<Item>();
  readonly children = new Map<string, TrieNode<Item>>();
  wildcard: TrieNode<Item> | undefined;

  get isEmpty(): boolean {
    return this.items.size === 0 && this.children.size === 0 && this.wildcard === undefined;
  }
}

/**
 * Items by their patterns: finds those that a change at a path concerns. Every node but the root has an item at or
 * below it.
 */
export class PatternTrie<Item> {
  readonly #root = new TrieNode<Item>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(pattern: Pattern, item: Item): void {
    let node = this.#root;
    for (const segment of pattern) {
      let next = segment === any ? node.wildcard : node.children.get(segment);
      if (next === undefined) {
        next = new TrieNode();
        if (segment === any) node.wildcard = next;
        else node.children.set(segment, next);
      }
      node = next;
    }
    if (!node.items.has(item)) this.#size++;
    node.items.add(item);
  }

  delete(pattern: Pattern, item: Item): void {
    this.#delete(this.#root, pattern, 0, item);
  }

  /**
   * Whether some pattern matches the path, a path above it or a path below it. Called for each operation of each
   * commit.
   */
  concerns(path: Path): boolean {
    return this.#size > 0 && concerns(this.#root, path, 0);
  }

  /** Calls `visit` once for each item whose pattern matches the path, a path above it or a path below it. */
  visit(path: Path, visit: (item: Item) => void): void {
    visitConcerned(this.#root, path, 0, visit);
  }

  #delete(node: TrieNode<Item>, pattern: Pattern, level: number, item: Item): void {
    if (level === pattern.length) {
      if (node.items.delete(item)) this.#size--;
      return;
    }
    const segment = pattern[level]!;
    const next = segment === any ? node.wildcard : node.children.get(segment);
    if (next === undefined) return;
    this.#delete(next, pattern, level + 1, item);
    if (!next.isEmpty) return;
    if (segment === any) node.wildcard = undefined;
    else node.children.delete(segment);
  }
}

function concerns<Item>(node: TrieNode<Item>, path: Path, level: number): boolean {
  if (level === path.length || node.items.size > 0) return true;
  const child = node.children.get(path[level]!);
  if (child !== undefined && concerns(child, path, level + 1)) return true;
  return node.wildcard !== undefined && concerns(node.wildcard, path, level + 1);
}

function visitConcerned<Item>(node: TrieNode<Item>, path: Path, level: number, visit: (item: Item) => void): void {
  if (level === path.length) {
    visitAll(node, visit);
    return;
  }
  node.items.forEach(visit);
  const child = node.children.get(path[level]!);
  if (child !== undefined) visitConcerned(child, path, level + 1, visit);
  if (node.wildcard !== undefined) visitConcerned(node.wildcard, path, level + 1, visit);
}

function visitAll<Item>(node: TrieNode<Item>, visit: (item: Item) => void): void {
  node.items.forEach(visit);
  for (const child of node.children.values()) visitAll(child, visit);
  if (node.wildcard !== undefined) visitAll(node.wildcard, visit);
}
