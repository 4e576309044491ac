// The page's own script and style: the files in page/, put into the page as they are. No two of them may give
// one name to different things: they are one script in the end.

import { readFileSync } from 'node:fs'

/** Each may import from those before it. */
const MODULES = ['layout.js', 'ink.js', 'operations.js', 'nodes.js', 'charts.js', 'main.js']

/** One script: the modules one after another, without the lines that tie them together. */
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
