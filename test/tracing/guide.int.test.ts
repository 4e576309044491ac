// The programs of docs/guides/tracing.md, one after the other.

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/guides/tracing.md'), 'utf8')

test('they print the trace of a put on three nodes', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-tracing-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  // A clone is not built.
  const source = JSON.stringify(join(root, 'src/index.ts'))
  for (const [, text = ''] of page.matchAll(/```js\n(.*?)```/gs)) {
    const [, name = ''] = /^\/\/ (\S+)/.exec(text) ?? []
    writeFileSync(join(directory, name), text.replace("'quorate'", source))
  }
  const run = (...args: string[]) => promisify(execFile)(process.execPath, args, { cwd: directory })
  await run('--import', './otel.mjs', 'application.mjs')
  const { stdout } = await run('show-trace.mjs')
  const names = stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/^ *[0-9.]+ \+ *[0-9.]+ ms {2}/, ''))
  expect(names.slice(0, 4).map((name) => name.replace(/n[123]/, 'n'))).toEqual([
    'order ',
    '  quorate.put ',
    '    PUT /v1/kv/:key (n)',
    '      quorate.propose (n)',
  ])
  // The cluster is closed when a majority has the entry.
  const countOf = (name: string): number =>
    names.filter((line) => line.startsWith(`        ${name} (n`)).length
  expect(countOf('quorate.append')).toBeGreaterThanOrEqual(2)
  expect(countOf('quorate.apply')).toBeGreaterThanOrEqual(1)
  // After an election on a busy machine, the next leader writes the entry again.
  expect(countOf('quorate.commit')).toBeGreaterThanOrEqual(1)
})
