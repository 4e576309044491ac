// Objects that a test writes itself: the nodes of a cluster, pods that are bound to them by hand, and configurations.

import { eventually } from '../../local/kv.ts'
import type { Api } from './api.ts'
import type { Ledger } from './ledger.ts'

export const LOAD = 'load'
/** The collections in which the test writes itself. */
export const PODS = `/api/v1/namespaces/${LOAD}/pods`
export const CONFIGURATIONS = `/api/v1/namespaces/${LOAD}/configmaps`

const NODES = 20
const WORKERS = 16
const ROUNDS_OF_LIFE = 20
const WAIT_MS_MAX = 600_000

const nodeAt = (at: number): string => `node-${at % NODES}`

/** Nodes without a kubelet, which are ready for ever. */
export async function addNodes(ledger: Ledger): Promise<void> {
  for (let at = 0; at < NODES; at++) {
    const name = nodeAt(at)
    const room = { cpu: '1000', memory: '1000Gi', pods: '10000' }
    const ready = { type: 'Ready', status: 'True', reason: 'Test', message: '' }
    const status = { capacity: room, allocatable: room, conditions: [ready] }
    await ledger.write('POST', '/api/v1/nodes', { metadata: { name } }, `/api/v1/nodes/${name}`)
    await ledger.write('PATCH', `/api/v1/nodes/${name}/status`, { status }, `/api/v1/nodes/${name}`)
  }
}

/** Adds a namespace, and waits until controllers have made the account of its pods. */
export async function addNamespace(ledger: Ledger, api: Api, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${name}`
  await ledger.write('POST', '/api/v1/namespaces', { metadata: { name } }, path)
  const hasAccount = async (): Promise<boolean> =>
    (await api.request('GET', `${path}/serviceaccounts/default`).catch(() => undefined))?.status === 200
  await eventually(hasAccount, 200, WAIT_MS_MAX)
}

/** Creates pods, binds each to a node, sets its status, and deletes every fifth. */
export async function bindPods(ledger: Ledger, count: number): Promise<void> {
  await concurrently(count, async (at) => {
    const name = `bound-${at}`
    const path = `${PODS}/${name}`
    const spec = { schedulerName: 'by-hand', containers: [{ name: 'main', image: 'none' }] }
    const pod = { metadata: { name, annotations: { text: 'x'.repeat(1_000) } }, spec }
    await ledger.write('POST', PODS, pod, path)
    const target = { apiVersion: 'v1', kind: 'Node', name: nodeAt(at) }
    await ledger.write('POST', `${path}/binding`, { metadata: { name }, target })
    await ledger.write('PATCH', `${path}/status`, { status: { phase: 'Running' } }, path)
    if (at % 5 === 4) await ledger.write('DELETE', `${path}?gracePeriodSeconds=0`, undefined, path)
  })
}

/** Name of the objects that `changeConfigurations` changes. */
export const CHANGED = 'changed-'

/** Objects that only this changes: each is created, updated under its resource version, and deleted at times. */
export async function changeConfigurations(
  ledger: Ledger,
  count: number,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const name = `${CHANGED}${at}`
      const path = `${CONFIGURATIONS}/${name}`
      for (let round = 0; !signal.aborted; round++) {
        const data = { round: String(round), text: 'x'.repeat(200) }
        if (round % ROUNDS_OF_LIFE === ROUNDS_OF_LIFE - 1) await ledger.write('DELETE', path)
        const reply = await ledger.read(path)
        if (reply.status === 404)
          await ledger.write('POST', CONFIGURATIONS, { metadata: { name }, data }, path)
        else await ledger.write('PUT', path, { ...reply.body, data })
      }
    }),
  )
}

async function concurrently(count: number, act: (at: number) => Promise<void>): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++) await act(at)
  }
  await Promise.all(Array.from({ length: Math.min(WORKERS, count) }, work))
}
