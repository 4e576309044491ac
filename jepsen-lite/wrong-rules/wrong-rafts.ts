// Cores with a wrong rule, from the sources: Node loads the modules that differ under the rule a second time, as texts
// that are patched. A build replaces this module by one that has them all (bundler-plugin.ts).

import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { RaftClass } from '../sim/world/observed-raft.ts'
import type { WrongRuleName } from '../sim/wrong-rules.ts'
import { patchedModules } from './patched-modules.ts'

export async function importWrongRaft(rule: WrongRuleName): Promise<RaftClass> {
  const modules = patchedModules(rule)
  const suffix = `?rule=${rule}`
  const loaded = new Set<string>()
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const { parentURL } = context
      const { url, ...found } = next(specifier, context)
      const isWrong = parentURL === import.meta.url || parentURL?.endsWith(suffix)
      return { ...found, url: isWrong && modules.has(fileURLToPath(url)) ? url + suffix : url }
    },
    load(url, context, next) {
      if (!url.endsWith(suffix)) return next(url, context)
      const path = fileURLToPath(url)
      loaded.add(path)
      return { format: 'module-typescript', source: modules.get(path), shortCircuit: true }
    },
  })
  try {
    const { Raft } = await import('../../src/raft/raft.ts')
    for (const path of modules.keys())
      if (!loaded.has(path)) throw new Error(`${path} was loaded without the wrong rule ${rule}`)
    return Raft
  } finally {
    hooks.deregister()
  }
}
