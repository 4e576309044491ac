// Cores with wrong rules in a bundle: a plugin for rolldown and Vite. Its output replaces wrong-rafts.ts.

import { dirname, join } from 'node:path'
import { WRONG_RULES, type WrongRuleName } from '../sim/wrong-rules.ts'
import { patchedModules, RAFT_MODULE } from './patched-modules.ts'

const REPLACED = join(import.meta.dirname, 'wrong-rafts.ts')
const SUFFIX = '?rule='

interface Plugin {
  readonly name: string
  readonly enforce: 'pre'
  resolveId(specifier: string, importer?: string): string | undefined
  load(id: string): { readonly code: string; readonly moduleType: 'ts' } | undefined
}

export function wrongRafts(): Plugin {
  const modules = new Map(WRONG_RULES.map(({ name }) => [name, patchedModules(name)] as const))
  /** The text of a module under a rule, if it differs there. */
  const patched = (path: string, rule: string): string | undefined =>
    modules.get(rule as WrongRuleName)?.get(path)
  return {
    name: 'wrong-rafts',
    enforce: 'pre',
    resolveId(specifier, importer = '') {
      const [importing = '', rule] = importer.split(SUFFIX)
      if (specifier.includes(SUFFIX)) return specifier
      if (rule === undefined || !specifier.startsWith('.')) return undefined
      const path = join(dirname(importing), specifier)
      return patched(path, rule) === undefined ? path : path + SUFFIX + rule
    },
    load(id) {
      if (id === REPLACED) return { code: allRafts(), moduleType: 'ts' }
      const [path = '', rule] = id.split(SUFFIX)
      const code = rule === undefined ? undefined : patched(path, rule)
      return code === undefined ? undefined : { code, moduleType: 'ts' }
    },
  }
}

/** A module like wrong-rafts.ts. */
function allRafts(): string {
  const imports = WRONG_RULES.map(
    ({ name }, at) => `import { Raft as raft${at} } from ${JSON.stringify(RAFT_MODULE + SUFFIX + name)}\n`,
  )
  const rafts = WRONG_RULES.map(({ name }, at) => `[${JSON.stringify(name)}, raft${at}]`)
  return `${imports.join('')}const rafts = new Map([${rafts}])
export const importWrongRaft = async (rule) => rafts.get(rule)
`
}
