// The API server of custom resources as a process of a test, alone: without kube-apiserver, in which it also runs.

import { spawn } from 'node:child_process'
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { eventually, freePorts } from '../../local/kv.ts'
import { requireProgram, scratchDirectory, succeed } from '../suites.ts'
import { Api } from './api.ts'
import { buildApiServer } from './build.ts'
import { WIDGETS } from './load.ts'

/** A file for what the API servers log. */
const LOG = process.env.QUORATE_KUBERNETES_LOG
const START_MS_MAX = 600_000

export interface EtcdServers {
  readonly urls: readonly string[]
  /** Files. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined
}

export async function startApiServer(
  { urls, tls }: EtcdServers,
  flags: readonly string[] = [],
): Promise<{ readonly api: Api; readonly pid: number }> {
  const program = await buildApiServer()
  const directory = scratchDirectory('api-server')
  const at = (name: string): string => join(directory, name)
  const [cert, key] = [at('admin.crt'), at('admin.key')]
  requireProgram('openssl', 'openssl')
  // Members of this group need no other rights.
  const subject = ['-subj', '/O=system:masters/CN=admin', '-addext', 'extendedKeyUsage=clientAuth']
  const pair = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
  ]
  await succeed('openssl', ['req', '-x509', '-days', '2', ...subject, ...pair])
  const port = await freePorts(1)
  const cluster = { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true }
  // There is no core API: what is looked up there is not found.
  const core = at('kubeconfig')
  writeFileSync(
    core,
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', clusters: [{ name: 'test', cluster }] },
      users: [{ name: 'admin', user: { 'client-certificate': cert, 'client-key': key } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      'current-context': 'test',
    }),
  )
  const child = spawn(
    program,
    [
      ...['--etcd-servers', urls.join()],
      ...(tls === undefined
        ? []
        : ['--etcd-cafile', tls.ca, '--etcd-certfile', tls.cert, '--etcd-keyfile', tls.key]),
      ...['--bind-address', '127.0.0.1', '--secure-port', String(port), '--cert-dir', directory],
      ...['--client-ca-file', cert, '--authentication-skip-lookup', '--authentication-kubeconfig', core],
      ...['--authorization-kubeconfig', core, '--kubeconfig', core, '--enable-priority-and-fairness=false'],
      ...['--disable-admission-plugins', ADMISSION.join(), ...flags],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  if (LOG === undefined) child.stderr.resume()
  else child.stderr.pipe(createWriteStream(LOG, { flags: 'a' }))
  const ca = await eventually(
    () => {
      if (child.exitCode !== null) throw new Error('the API server has ended: see QUORATE_KUBERNETES_LOG')
      try {
        return readFileSync(at('apiserver.crt'), 'utf8')
      } catch {
        return undefined
      }
    },
    100,
    START_MS_MAX,
  )
  const api = new Api({ port, ca, cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })
  onTestFinished(() => api.close())
  // The definition may be there already, from another API server.
  await eventually(() => answers(api, 'POST', DEFINITIONS, DEFINITION), 200, START_MS_MAX)
  await eventually(() => answers(api, 'GET', WIDGETS), 200, START_MS_MAX)
  return { api, pid: child.pid ?? 0 }
}

const answers = async (api: Api, method: string, path: string, body?: object): Promise<boolean> => {
  const reply = await api.request(method, path, body).catch(() => undefined)
  return reply !== undefined && [200, 201, 409].includes(reply.status)
}

/** Plugins that need the core API. */
const ADMISSION = [
  'NamespaceLifecycle',
  'MutatingAdmissionPolicy',
  'MutatingAdmissionWebhook',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionWebhook',
]

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const OPEN = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.quorate.test' },
  spec: {
    group: 'quorate.test',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
    versions: [
      {
        ...{ name: 'v1', served: true, storage: true, subresources: { status: {} } },
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: OPEN, status: OPEN } } },
      },
    ],
  },
}
