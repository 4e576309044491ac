// A control plane of Kubernetes on three nodes of quorate, which are killed again and again under load: two API
// servers, a controller manager and a scheduler. At the end, the keys of quorate are what the API servers have
// acknowledged, and what they list. Each watch had each event once, and the controllers have done what was wanted last.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { eventually, settled, Workspace } from '../local/kv.ts'
import type { Api, KubeEvent } from './kubernetes/api.ts'
import { ControlPlane } from './kubernetes/control-plane.ts'
import { APPS, addDeployments, addressesOf, beKubelet, rollOut } from './kubernetes/deployments.ts'
import { difference, failuresOf, History, isIn, keyOf, rowOf } from './kubernetes/history.ts'
import { Ledger } from './kubernetes/ledger.ts'
import {
  addNamespace,
  addNodes,
  bindPods,
  CONFIGURATIONS,
  changeConfigurations,
  LOAD,
  PODS,
} from './kubernetes/load.ts'

const OBJECTS = Number(process.env.QUORATE_KUBERNETES_OBJECTS ?? 5_000)
const CHANGING = 10
const DEPLOYED = 6
const NODES = 3
const HOURS = 3 * 3_600_000
const WRITES_BETWEEN_KILLS = 300
const WAIT_MS_MAX = 900_000
const PREFIX = '/registry/'
/** The collections whose objects are compared, of all namespaces. */
const COMPARED = [
  '/api/v1/pods',
  '/api/v1/configmaps',
  '/api/v1/services',
  '/api/v1/nodes',
  '/apis/apps/v1/deployments',
  '/apis/apps/v1/replicasets',
  '/apis/discovery.k8s.io/v1/endpointslices',
]

test.each([{ tls: false }, { tls: true }])(
  'a control plane loses and invents nothing while nodes of quorate are killed, with TLS: $tls',
  { timeout: HOURS },
  async ({ tls }) => {
    const space = await Workspace.open()
    const started = await space.start(...(tls ? ['--tls'] : []))
    const urls = started.nodes.map(({ url }) => url)
    const file = (name: string): string => space.path('certs', name)
    const tlsFiles = tls ? { ca: file('ca.crt'), cert: file('root.crt'), key: file('root.key') } : undefined
    const store = new Client({
      ...{ endpoints: urls, timeoutMs: 60_000 },
      ...(tlsFiles !== undefined && {
        tls: {
          ca: readFileSync(tlsFiles.ca),
          cert: readFileSync(tlsFiles.cert),
          key: readFileSync(tlsFiles.key),
        },
      }),
    })
    const ending = new AbortController()
    const { signal } = ending
    const history = await followStore(store, signal)

    const plane = await ControlPlane.open({ urls, tls: tlsFiles })
    const apis = [await plane.startApiServer(), await plane.startApiServer()] as const
    const [api, other] = apis
    plane.startControllers(api)
    const ledger = new Ledger(apis)
    await addNodes(ledger)
    for (const name of [LOAD, APPS]) await addNamespace(ledger, api, name)
    await addDeployments(ledger, DEPLOYED)

    const collections = [PODS, CONFIGURATIONS]
    const opened = apis.flatMap((at) =>
      collections.map(async (path) => ({
        ...{ api: at, path, events: [] as KubeEvent[] },
        from: Number((await at.list(path)).revision),
      })),
    )
    const seen = await Promise.all(opened)
    const watches = seen.map(({ api: at, path, events, from }) =>
      at.watch(path, String(from), signal, (event) => {
        if (event.type !== 'BOOKMARK') events.push(event)
      }),
    )
    const kubelet = beKubelet(ledger, other, signal)
    const working = new AbortController()
    const kills = killNodes(space, ledger, working.signal)
    const changes = changeConfigurations(ledger, CHANGING, working.signal)
    const rollouts = rollOut(ledger, DEPLOYED, working.signal)
    const began = performance.now()
    await bindPods(ledger, OBJECTS)
    const seconds = Math.round((performance.now() - began) / 1_000)
    working.abort()
    await changes
    const rounds = await rollouts
    const killed = await kills
    await settled(space, NODES, WAIT_MS_MAX)

    const { published, ready } = await addressesAtRest(api)
    const { keys, lists } = await readAtRest(store, apis)
    const { revision } = await store.status()
    await eventually(() => history.reached >= revision, 200, WAIT_MS_MAX)
    for (const each of seen)
      await eventually(() => each.events.length >= history.revisionsFor(each).length, 200).catch(() => {})
    ending.abort()
    await Promise.all([...watches, kubelet])

    const atRest = { keys, lists, published, ready }
    const failures = failuresOf({
      history,
      collections: COMPARED,
      objects: ledger.objects,
      watches: seen,
      ...atRest,
    })
    console.log(
      `TLS ${tls}: ${ledger.acknowledged} writes acknowledged, ${ledger.unknown} with an unknown outcome, ` +
        `in ${seconds} s; killed: ${killed.leaders} leaders, ${killed.followers} followers; ` +
        `${rounds} rollouts, ${ready.length} pods of deployments; ${keys.length} objects compared, ` +
        `${history.size} changes, ${seen.map(({ events }) => events.length).join()} events of watches`,
    )
    expect(failures).toEqual({})
  },
)

/** Kills a node, most often the leader, and starts it again, each time that the cluster has written for a while. */
async function killNodes(space: Workspace, ledger: Ledger, signal: AbortSignal) {
  const killed = { leaders: 0, followers: 0 }
  const further = async (): Promise<void> => {
    const from = ledger.acknowledged
    await eventually(
      () => signal.aborted || ledger.acknowledged > from + WRITES_BETWEEN_KILLS,
      50,
      WAIT_MS_MAX,
    )
  }
  for (let round = 0; ; round++) {
    await further()
    if (signal.aborted) return killed
    const { leader, nodes } = await settled(space, NODES, WAIT_MS_MAX)
    const isLeader = round % 3 !== 2
    const node = nodes.find(({ name }) => (name === leader) === isLeader)?.name ?? ''
    await space.execute({ command: 'kill', node })
    killed[isLeader ? 'leaders' : 'followers']++
    await further()
    await space.execute({ command: 'restart', node })
  }
}

async function followStore(store: Client, signal: AbortSignal): Promise<History> {
  const history = new History()
  const { revision } = await store.status()
  const watch = store.watch({
    ...{ prefix: PREFIX, fromRevision: revision + 1, keysOnly: true, progressMs: 1_000, signal },
    onProgress: (reached) => {
      history.reached = reached
    },
  })
  void (async () => {
    for await (const { revision: at, events } of watch)
      for (const { key, type } of events) history.add(key, at, type === 'delete')
  })().catch(() => {})
  return history
}

/** The compared objects as quorate has them, and as each API server lists them, while nobody changes them. */
async function readAtRest(store: Client, apis: readonly Api[]) {
  const read = async (): Promise<readonly string[]> => {
    const rows: string[] = []
    for await (const { key, modRevision } of store.list({ prefix: PREFIX, keysOnly: true }))
      if (COMPARED.some((path) => isIn(key, path))) rows.push(rowOf(key, modRevision))
    return rows.sort()
  }
  const list = async (api: Api): Promise<readonly string[]> => {
    const rows: string[] = []
    for (const path of COMPARED)
      for (const { metadata } of (await api.list(path)).items)
        rows.push(rowOf(keyOf(path, metadata), Number(metadata.resourceVersion)))
    return rows.sort()
  }
  return eventually(
    async () => {
      const keys = await read()
      const lists = await Promise.all(apis.map(list))
      return difference(keys, await read()).length === 0 && { keys, lists }
    },
    1_000,
    WAIT_MS_MAX,
  )
}

/** The addresses of services and pods when they are the same, or at the latest after a minute. */
async function addressesAtRest(api: Api): ReturnType<typeof addressesOf> {
  let now = await addressesOf(api)
  const areSame = async (): Promise<boolean> => {
    now = await addressesOf(api)
    return difference(now.published, now.ready).length === 0
  }
  await eventually(areSame, 500).catch(() => {})
  return now
}
