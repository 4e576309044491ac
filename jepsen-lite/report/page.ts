// The script and the style of the page: the files in page/, inserted into the page. In the page all modules are one
// script, so a name may be declared in one module only.

import { readFileSync } from 'node:fs'

/** Each module may import from the modules before it. */
const MODULES = ['layout.js', 'ink.js', 'operations.js', 'nodes.js', 'charts.js', 'main.js']

/** All modules as one script, without the lines that import and export. */
export function script(): string {
  const bodies = MODULES.map((name) =>
    read(name)
      .replaceAll(IMPORT, '')
      .replaceAll(/^export /gm, ''),
  )
  return `'use strict'\n{\n${bodies.join('\n')}}`
}

const IMPORT = /^import \{[^}]*\} from '[^']*'\n/gm

export const style = (): string => read('style.css')

const read = (name: string): string => readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8')
