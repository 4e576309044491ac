// Two API servers of Kubernetes on three nodes of quorate, which are killed again and again under load. At the end, the
// keys of quorate are what the API servers have acknowledged and list, and each watch had each event once.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { eventually, settled, Workspace } from '../local/kv.ts'
import type { KubeEvent, KubeObject } from './kubernetes/api.ts'
import { startApiServer } from './kubernetes/api-server.ts'
import { Ledger } from './kubernetes/ledger.ts'
import { bindObjects, CHANGED, changeObjects, WIDGETS } from './kubernetes/load.ts'

const OBJECTS = Number(process.env.QUORATE_KUBERNETES_OBJECTS ?? 5_000)
const CHANGING = 10
const NODES = 3
const HOURS = 3 * 3_600_000
const WRITES_BETWEEN_KILLS = 300
const WAIT_MS_MAX = 900_000
/** The keys of the objects. */
const PREFIX = '/registry/apiextensions.kubernetes.io/quorate.test/widgets/'

test.each([{ tls: false }, { tls: true }])(
  'API servers lose and invent nothing while nodes of quorate are killed, with TLS: $tls',
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
    const servers = []
    for (let at = 0; at < 2; at++) servers.push(await startApiServer({ urls, tls: tlsFiles }))
    const apis = servers.map(({ api }) => api)
    const ledger = new Ledger(apis)
    const ending = new AbortController()
    const { signal } = ending

    const history = await followStore(store, signal)
    const seen = await Promise.all(
      apis.map(async (api) => ({ api, events: [] as KubeEvent[], from: (await api.list(WIDGETS)).revision })),
    )
    const watches = seen.map(({ api, events, from }) =>
      api.watch(WIDGETS, from, signal, (event) => {
        if (event.type !== 'BOOKMARK') events.push(event)
      }),
    )
    const working = new AbortController()
    const kills = killNodes(space, ledger, working.signal)
    const changes = changeObjects(ledger, CHANGING, working.signal)
    await bindObjects(ledger, OBJECTS)
    working.abort()
    await changes
    const killed = await kills
    await settled(space, NODES, WAIT_MS_MAX)

    const keys = await readStore(store)
    const { revision } = await store.status()
    await eventually(() => history.reached >= revision, 200, WAIT_MS_MAX)
    for (const { events } of seen)
      await eventually(() => events.length >= history.events.length, 200).catch(() => {})
    const lists = await Promise.all(apis.map((api) => api.list(WIDGETS)))
    ending.abort()
    await Promise.all(watches)

    const written = (path: string): number => history.events.filter(({ key }) => isKeyAt(key, path)).length
    const failures: Record<string, unknown[]> = {
      // Stored, and not listed as it is, or listed, and not stored so.
      lists: lists.filter(
        ({ items }) => String(items.map(rowOf).sort()) !== String([...keys].map(String).sort()),
      ),
      // Acknowledged, and not in the history under its resource version.
      unwritten: [...ledger.objects].flatMap(([path, { revisions }]) =>
        [...revisions].filter((at) => !isKeyAt(history.keyAt(at), path)).map((at) => [path, at]),
      ),
      // In the history, and no longer in the store as it was written last.
      changed: [...history.last].filter(([key, at]) => keys.get(key) !== at),
      // Written more often than was acknowledged or left open.
      repeated: [...ledger.objects]
        .filter(([path]) => path.includes(`/${CHANGED}`))
        .filter(([path, { revisions, deletes, unknown }]) => {
          const acknowledged = revisions.size + deletes
          return written(path) < acknowledged || written(path) > acknowledged + unknown
        }),
      // Other events of a watch than those of the history, or in another order.
      watches: seen.filter(
        ({ events }) =>
          String(events.map(({ object }) => Number(object.metadata.resourceVersion))) !==
          String(history.events.map((event) => event.revision)),
      ),
    }
    console.log(
      `TLS ${tls}: ${ledger.acknowledged} writes acknowledged, ${ledger.unknown} with an unknown outcome; ` +
        `killed: ${killed.leaders} leaders, ${killed.followers} followers; ${keys.size} keys, ` +
        `${history.events.length} changes, ${seen.map(({ events }) => events.length).join(' and ')} events of watches`,
    )
    for (const [kind, found] of Object.entries(failures)) failures[kind] = found.slice(0, 5)
    expect(failures).toEqual({ lists: [], unwritten: [], changed: [], repeated: [], watches: [] })
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

interface StoreEvent {
  readonly key: string
  readonly revision: number
}

/** All changes of the API server's keys, as a watch on quorate has them. */
class History {
  readonly #keys = new Map<number, string>()
  /** The last revision of each key; undefined after its deletion. */
  readonly last = new Map<string, number | undefined>()
  reached = 0

  /** In order. */
  get events(): readonly StoreEvent[] {
    return [...this.#keys].map(([revision, key]) => ({ key, revision }))
  }

  add(key: string, revision: number, isDeleted: boolean): void {
    this.#keys.set(revision, key)
    this.last.set(key, isDeleted ? undefined : revision)
  }

  /** The API server changes one key in a transaction. */
  keyAt(revision: number): string {
    return this.#keys.get(revision) ?? ''
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

/** The revision of each key. */
async function readStore(store: Client): Promise<ReadonlyMap<string, number>> {
  const keys = new Map<string, number>()
  for await (const { key, modRevision } of store.list({ prefix: PREFIX, keysOnly: true }))
    keys.set(key, modRevision)
  return keys
}

const rowOf = ({ metadata }: KubeObject): string =>
  `${PREFIX}${metadata.namespace}/${metadata.name},${metadata.resourceVersion}`
/** The path of an object ends with its name, and so does its key. */
const isKeyAt = (key: string, path: string): boolean => key.split('/').at(-1) === path.split('/').at(-1)
