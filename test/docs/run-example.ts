// Runs the first ```ts block of a guide as a program of its own, against a cluster of this test, and returns what it
// has printed. What the guide says that it prints are its comments `// prints: …`.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'

const root = join(import.meta.dirname, '../..')

const MODULES: Readonly<Record<string, string>> = {
  quorate: 'src/index.ts',
  'quorate/recipes': 'src/recipes/index.ts',
}

export interface Example {
  readonly printed: readonly string[]
  readonly promised: readonly string[]
  readonly errors: string
  readonly exitCode: number | null
}

export async function runExample(guide: string, endpoints: readonly string[]): Promise<Example> {
  const markdown = readFileSync(join(root, 'docs', guide), 'utf8')
  const [, example] = /^```ts\n([\s\S]*?)^```$/m.exec(markdown) ?? []
  if (example === undefined) throw new Error(`${guide} has no example`)
  const promised = [...example.matchAll(/\/\/ prints: (.*)$/gm)].map(([, line = '']) => line)
  const program = example
    .replace(
      /from '(quorate[^']*)'/g,
      (_, name) => `from '${pathToFileURL(join(root, MODULES[name] ?? name)).href}'`,
    )
    .replace("['http://127.0.0.1:7301']", JSON.stringify(endpoints))
  const directory = mkdtempSync(join(tmpdir(), 'quorate-guide-'))
  try {
    const file = join(directory, 'example.mts')
    writeFileSync(file, program)
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [printed, errors, [exitCode]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit') as Promise<[number | null]>,
    ])
    return { printed: printed.split('\n').slice(0, -1), promised, errors, exitCode }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
