import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

interface Literal {
  readonly type: string;
  readonly value?: unknown;
}

/**
 * Leaves out string literals that are sentences: which words an error has is checked by reading. A literal without a
 * blank is a code, a key or a name, and programs decide by it: it is mutated.
 */
export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'prose', {
    shouldIgnore({ node }: { readonly node: Literal }): string | undefined {
      if (node.type === 'TemplateLiteral') return 'a sentence';
      return node.type === 'StringLiteral' && String(node.value).includes(' ') ? 'a sentence' : undefined;
    },
  }),
];
