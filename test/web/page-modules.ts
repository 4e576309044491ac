// Loads modules of the page in Node: JSX is compiled, style sheets are empty, and lessons are read from their files.

import { globSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'rolldown/utils'

const REGISTERED = Symbol.for('modules of the page')
const shared = globalThis as { [REGISTERED]?: true }

/** Files share a process, and so the hooks. */
function registerPageHooks(): void {
  if (shared[REGISTERED]) return
  shared[REGISTERED] = true
  registerHooks({
    resolve(name, context, next) {
      const resolved = next(name, context)
      const [page = ''] = /\?page=\d+$/.exec(context.parentURL ?? '') ?? []
      return /\/web\/src\/lab\/.*\.tsx?$/.test(resolved.url)
        ? { ...resolved, url: resolved.url + page }
        : resolved
    },
    load(url, context, next) {
      if (/\.css$/.test(url)) return { format: 'module', source: '', shortCircuit: true }
      if (/\/bundled-lessons\.ts\b/.test(url)) {
        const loaded = next(url, context)
        return { ...loaded, source: `import.meta.glob = () => (${lessonFiles()})\n${loaded.source}` }
      }
      if (!/\/web\/src\/.*\.tsx(\?|$)/.test(url)) return next(url, context)
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

let pages = 0

/** Loads modules of the lab for a page that is loaded again: it shares none of them with a page before it. */
export function loaderOfPage(): typeof load {
  const page = ++pages
  return (path) => load(`${path}?page=${page}`)
}

/** The files of the lessons by their names, as JSON. */
function lessonFiles(): string {
  const folder = join(import.meta.dirname, '../../docs/learn/lessons')
  const files = globSync(join(folder, '*.json'))
  return `{${files.map((path) => `"${basename(path)}": ${readFileSync(path, 'utf8')}`).join()}}`
}
