// The client in a bundle of ES modules: it has multiplexed connections, or says that it has none. It works where the
// API of OpenTelemetry is missing.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rolldown } from 'rolldown'
import { afterAll, expect, test, vi } from 'vitest'
import type * as ClientModule from '../../src/client/index.ts'
import { record, stopRecording } from '../tracing/recorded-spans.ts'
import { connected, fake, until } from './with-fakes.ts'

const directory = mkdtempSync(join(tmpdir(), 'quorate-bundle-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** The client as a bundle. `hasRequire`: whether the package `ws` can load what it requires. */
async function bundled(hasRequire: boolean): Promise<typeof ClientModule> {
  const broken = {
    name: 'broken',
    resolveId: (id: string) => (id === 'ws' && !hasRequire ? '\0ws' : undefined),
    load: (id: string) =>
      id === '\0ws'
        ? "throw new Error('Dynamic require of events is not supported'); export const WebSocket = 0"
        : undefined,
  }
  const bundle = await rolldown({
    ...{ input: 'src/client/index.ts', platform: 'node', logLevel: 'silent', plugins: [broken] },
  })
  const dir = join(directory, String(hasRequire))
  await bundle.write({ dir, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' })
  await bundle.close()
  // The packages are in the bundle.
  expect(readdirSync(dir)).toContain('mux-connection.mjs')
  return import(/* @vite-ignore */ pathToFileURL(join(dir, 'index.mjs')).href)
}

test('with `require` has multiplexed connections', async () => {
  const { Client } = await bundled(true)
  const node = await fake()
  const lines = node.multiplex()
  const warnings: string[] = []
  const kv = new Client({ endpoints: [node.url], discover: false, onWarning: (text) => warnings.push(text) })
  await connected(kv, [node])
  expect([lines.open.length, warnings]).toEqual([1, []])
  await kv.close()
})

test('without `require` warns once that it has none, and works', async () => {
  const { Client } = await bundled(false)
  const node = await fake()
  node.set('k', 'v')
  node.multiplex()
  const warnings: string[] = []
  const kv = new Client({ endpoints: [node.url], discover: false, onWarning: (text) => warnings.push(text) })
  for (let n = 0; n < 64; n++) expect((await kv.get('k'))?.text()).toBe('v')
  await until(() => warnings.length > 0)
  expect(warnings).toEqual([expect.stringMatching(/^multiplexed connections cannot be used.*require/)])
  await kv.close()
})

test('in a process that records, without the API beside the bundle, warns once and works', async () => {
  const { Client } = await bundled(true)
  const node = await fake()
  const emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  record()
  const kv = new Client({ endpoints: [node.url], discover: false })
  try {
    await kv.put('k', 'v')
    expect((await kv.get('k'))?.text()).toBe('v')
    expect(emitWarning.mock.calls).toEqual([
      [expect.stringMatching(/^no spans of quorate are recorded: .*@opentelemetry/), 'QuorateWarning'],
    ])
  } finally {
    stopRecording()
    emitWarning.mockRestore()
    await kv.close()
  }
})
