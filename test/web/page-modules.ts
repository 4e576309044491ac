// Loads modules of the page in Node: JSX is compiled, and style sheets are empty.

import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'rolldown/utils'

const REGISTERED = Symbol.for('modules of the page')
const shared = globalThis as { [REGISTERED]?: true }

/** Files share a process, and so the hooks. */
function registerPageHooks(): void {
  if (shared[REGISTERED]) return
  shared[REGISTERED] = true
  registerHooks({
    load(url, context, next) {
      if (/\.css$/.test(url)) return { format: 'module', source: '', shortCircuit: true }
      if (!/\/web\/src\/.*\.tsx$/.test(url)) return next(url, context)
      const path = fileURLToPath(url)
      const { code, errors } = transformSync(path, readFileSync(path, 'utf8'), {
        jsx: { runtime: 'automatic', importSource: 'preact' },
      })
      if (errors[0] !== undefined) throw new Error(String(errors[0].message))
      return { format: 'module', source: code, shortCircuit: true }
    },
  })
}

/** The types of these modules need those of a browser, and some read the storage of the tab when they are loaded. */
export async function load<Module>(path: string): Promise<Module> {
  registerPageHooks()
  return (await import(`../../web/src/${path}`)) as Module
}
