// The modules of src/raft that differ under a wrong rule: the one that its patch changes, and its importers, direct or
// not. All others are shared with the shipped core.

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { changeOf } from '../mutants/change.ts'
import { ROOT } from '../mutants/mutant.ts'
import { type WrongRuleName, wrongRule } from '../sim/wrong-rules.ts'

const RAFT = join(ROOT, 'src/raft')
export const RAFT_MODULE = join(RAFT, 'raft.ts')
/** An import of a neighbouring module that exists at run time: not of types alone. */
const IMPORTED = /^import (?!type )[^']* from '\.\/([\w-]+\.ts)'$/gm

/** The sources of these modules, by path. */
export function patchedModules(name: WrongRuleName): ReadonlyMap<string, string> {
  const rule = wrongRule(name)
  if (rule === undefined) throw new RangeError(`no wrong rule ${name}`)
  const file = readFileSync(join(ROOT, 'jepsen-lite', rule.patch), 'utf8')
  const diff = file.slice(file.indexOf('\ndiff ') + 1)
  const { path, text } = changeOf({ id: basename(rule.patch, '.patch'), bug: rule.text, diff })
  const modules = new Map([[join(ROOT, path), text]])
  const others = new Map(
    readdirSync(RAFT)
      .filter((each) => each.endsWith('.ts'))
      .map((each) => [join(RAFT, each), readFileSync(join(RAFT, each), 'utf8')]),
  )
  // A map is iterated over what is added meanwhile, too.
  for (const changed of modules.keys())
    for (const [importer, source] of others)
      if (!modules.has(importer) && importsOf(source).has(basename(changed))) modules.set(importer, source)
  return modules
}

const importsOf = (source: string): ReadonlySet<string | undefined> =>
  new Set([...source.matchAll(IMPORTED)].map(([, name]) => name))
