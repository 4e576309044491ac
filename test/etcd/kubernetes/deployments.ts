// Deployments with a service each, which the controllers and the scheduler bring about. The test changes what is
// wanted, and is the kubelet of all nodes.

import { eventually } from '../../local/kv.ts'
import type { Api, KubeEvent, KubeObject } from './api.ts'
import type { Ledger } from './ledger.ts'

export const APPS = 'apps'
const PODS = `/api/v1/namespaces/${APPS}/pods`
const SLICES = `/apis/discovery.k8s.io/v1/namespaces/${APPS}/endpointslices`
const DEPLOYMENTS = `/apis/apps/v1/namespaces/${APPS}/deployments`
const SERVICES = `/api/v1/namespaces/${APPS}/services`

const REPLICAS_MAX = 8
const WAIT_MS_MAX = 900_000

const nameAt = (at: number): string => `app-${at}`

export async function addDeployments(ledger: Ledger, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const name = nameAt(at)
    const labels = { app: name }
    const template = {
      metadata: { labels },
      spec: { containers: [{ name: 'main', image: 'none', ports: [{ containerPort: 80 }] }] },
    }
    const spec = { replicas: 1, selector: { matchLabels: labels }, template }
    await ledger.write('POST', DEPLOYMENTS, { metadata: { name }, spec }, `${DEPLOYMENTS}/${name}`)
    const service = { metadata: { name }, spec: { selector: labels, ports: [{ port: 80 }] } }
    await ledger.write('POST', SERVICES, service, `${SERVICES}/${name}`)
  }
}

/**
 * Gives each deployment other replicas of another template again and again, and waits each time until its controller
 * has replaced all pods. Returns the number of times.
 */
export async function rollOut(ledger: Ledger, count: number, signal: AbortSignal): Promise<number> {
  let rounds = 0
  await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const path = `${DEPLOYMENTS}/${nameAt(at)}`
      for (let round = 1; !signal.aborted; round++) {
        const replicas = 1 + ((at + 3 * round) % REPLICAS_MAX)
        const template = { metadata: { annotations: { round: String(round) } } }
        const { body } = await ledger.write('PATCH', path, { spec: { replicas, template } })
        const generation = Number(body.metadata.generation)
        await eventually(async () => isComplete((await ledger.read(path)).body, generation), 200, WAIT_MS_MAX)
        rounds++
      }
    }),
  )
  return rounds
}

/** Whether all pods of a deployment, and no others, are those of this generation. */
export function isComplete({ spec, status }: KubeObject, generation: number): boolean {
  const { replicas: wanted } = Object(spec)
  const { observedGeneration, replicas, updatedReplicas, availableReplicas } = Object(status)
  const isObserved = observedGeneration >= generation
  return isObserved && [replicas, updatedReplicas, availableReplicas].every((number) => number === wanted)
}

/** Runs the pods that are bound to a node, and ends those that are to be deleted, until the signal. */
export async function beKubelet(ledger: Ledger, api: Api, signal: AbortSignal): Promise<void> {
  let addresses = 0
  const atWork = new Set<string>()
  const write = async (path: string, ...request: Parameters<Ledger['write']>): Promise<void> => {
    if (atWork.has(path)) return
    atWork.add(path)
    await ledger.write(...request)
    // Its next event says whether there is more to do.
    atWork.delete(path)
  }
  const handle = ({ type, object }: Pick<KubeEvent, 'type' | 'object'>): void => {
    const { metadata, spec, status } = object
    const path = `${PODS}/${metadata.name}`
    if (type !== 'ADDED' && type !== 'MODIFIED') return
    if (Object(spec).nodeName === undefined) return
    if (metadata.deletionTimestamp !== undefined)
      void write(`${path} ends`, 'DELETE', `${path}?gracePeriodSeconds=0`, undefined, path)
    else if (Object(status).phase === 'Pending') {
      const podIP = `10.1.${(++addresses >> 8) & 255}.${addresses & 255}`
      const conditions = ['Ready', 'ContainersReady', 'Initialized'].map((kind) => ({
        type: kind,
        status: 'True',
      }))
      const running = { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions }
      void write(path, 'PATCH', `${path}/status`, { status: running }, path)
    }
  }
  const { items, revision } = await api.list(PODS)
  for (const object of items) handle({ type: 'ADDED', object })
  await api.watch(PODS, revision, signal, handle)
}

/** The addresses of each service, as its controller has collected them, and those of its pods that are ready. */
export async function addressesOf(
  api: Api,
): Promise<{ readonly published: readonly string[]; readonly ready: readonly string[] }> {
  const slices = (await api.list(SLICES)).items
  const pods = (await api.list(PODS)).items
  const published = slices.flatMap(({ metadata, endpoints }) =>
    Array.from(Object(endpoints), (endpoint) => `${ownerOf(metadata)} ${Object(endpoint).addresses}`),
  )
  const ready = pods.map(({ metadata, status }) => `${Object(metadata.labels).app} ${Object(status).podIP}`)
  return { published: published.sort(), ready: ready.sort() }
}

const ownerOf = ({ labels }: KubeObject['metadata']): string => Object(labels)['kubernetes.io/service-name']
