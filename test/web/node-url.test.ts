// The address of a node, in the commands that the page copies.

import { afterAll, beforeAll, expect, test, vi } from 'vitest'

interface Modules {
  readonly consoleHost: { value: unknown }
  readonly members: { value: unknown }
  readonly newest: { value: unknown }
  nodeUrl(): string
}
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<object> => import(path)
let page: Modules
beforeAll(async () => {
  vi.stubGlobal('sessionStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} })
  vi.stubGlobal('location', { hash: '', origin: 'http://127.0.0.1:7300' })
  vi.stubGlobal('addEventListener', () => {})
  const modules = ['cluster/console-host', 'cluster/cluster-view', 'cluster/node-url']
  page = Object.assign({}, ...(await Promise.all(modules.map((name) => load(`../../web/src/${name}.ts`)))))
})
afterAll(() => vi.unstubAllGlobals())

test('other programs ask the node that serves the page, and in a local cluster a node, not the console', () => {
  page.consoleHost.value = { kind: 'node', node: 'n1', version: '1', members: [] }
  expect(page.nodeUrl()).toBe('http://127.0.0.1:7300')
  page.consoleHost.value = { kind: 'cluster', version: '1', nodes: [{ name: 'n2', base: '/nodes/n2' }] }
  page.members.value = [{ name: 'n2', url: 'https://127.0.0.1:7302' }]
  page.newest.value = { name: 'n2' }
  expect(page.nodeUrl()).toBe('https://127.0.0.1:7302')
})
