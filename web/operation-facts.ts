// A plugin for Vite: the operations of the store without their forms in HTTP and on multiplexed connections. Clients
// of the lab pass requests as objects, so its worker reads only the facts of operations.

import { dirname, join } from 'node:path'
import { type ESTree, type Plugin, parseAst } from 'vite'

/** Properties of a definition in `OPERATIONS` that only a wire reads. */
const WIRES: ReadonlySet<string> = new Set(['http', 'mux'])

/** `root`: the directory of the repository. */
export function operationFacts(root: string): Plugin {
  const operations = join(root, 'src/operations')
  return {
    name: 'operation-facts',
    enforce: 'pre',
    transform(code, id) {
      if (!id.startsWith(operations)) return undefined
      const facts = dirname(id) === operations ? withoutWires(code) : code
      // Rolldown would keep modules whose constants are made by calls, such as the schemas of answers.
      return { code: facts, map: null, moduleSideEffects: false }
    },
  }
}

/** The code of an operation, whose definition has no wires. */
export function withoutWires(code: string): string {
  const cuts = parseAst(code, { lang: 'ts' }).body.flatMap((node) =>
    node.type === 'ExportNamedDeclaration' && node.declaration?.type === 'VariableDeclaration'
      ? node.declaration.declarations.flatMap(({ init }) => wires(init))
      : [],
  )
  return cuts.reduceRight(
    (rest, { start, end }) => rest.slice(0, start) + rest.slice(end).replace(/^,/, ''),
    code,
  )
}

const wires = (init: ESTree.Expression | null): readonly ESTree.ObjectPropertyKind[] =>
  init?.type === 'TSSatisfiesExpression' && init.expression.type === 'ObjectExpression'
    ? init.expression.properties.filter(
        (property) =>
          property.type === 'Property' && property.key.type === 'Identifier' && WIRES.has(property.key.name),
      )
    : []
