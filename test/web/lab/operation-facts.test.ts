// The plugin that leaves the forms of operations on the wires out of the lab's worker.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { build } from 'vite'
import { expect, onTestFinished, test } from 'vitest'
import { OPERATIONS } from '../../../src/operations/index.ts'
import { operationFacts } from '../../../web/operation-facts.ts'

const root = join(import.meta.dirname, '../../..')
const ENTRY = join(root, 'src/operations/index.ts')

test('an operation of the worker has every fact, and no form on a wire', async () => {
  const { operations, code } = await built()
  const facts = Object.entries(OPERATIONS).map(([kind, operation]) => [
    kind,
    Object.keys(operation).filter((name) => name !== 'http' && name !== 'mux'),
  ])
  expect(Object.entries(operations).map(([kind, operation]) => [kind, Object.keys(operation)])).toEqual(facts)
  expect(code).not.toContain('If-Match')
  expect(readFileSync(join(root, 'src/operations/http/conditions.ts'), 'utf8')).toContain('If-Match')
})

/** The definitions as a bundle of the plugin has them. */
async function built(): Promise<{ operations: Record<string, object>; code: string }> {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    plugins: [operationFacts(root)],
    build: { write: false, minify: false, lib: { entry: ENTRY, formats: ['es'] } },
  })
  const [
    {
      output: [{ code }],
    },
  ] = output as unknown as [{ output: [{ code: string }] }]
  const file = join(mkdtempSync(join(tmpdir(), 'quorate-lab-')), 'operations.mjs')
  onTestFinished(() => rmSync(dirname(file), { recursive: true }))
  writeFileSync(file, code)
  const module = (await import(file)) as { OPERATIONS: Record<string, object> }
  return { operations: module.OPERATIONS, code }
}
