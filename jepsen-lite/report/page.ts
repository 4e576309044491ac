// The script and the style of the page: the files in page/ and style sheets of the design, inserted into the page. In
// the page all modules are one script, so a name may be declared in one module only.

import { readFileSync } from 'node:fs'
import { readDesign } from './design.ts'

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

/** Without the fonts, which would be larger than the rest. */
const DESIGN = ['tokens.css', 'base.css', 'button.css', 'field.css', 'table.css', 'chart.css']

export const style = (): string => [...DESIGN.map(readDesign), read('style.css')].join('\n')

const read = (name: string): string => readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8')
