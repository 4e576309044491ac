// A control plane of Kubernetes as processes of a test: API servers, a controller manager and a scheduler.

import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { eventually, freePorts } from '../../local/kv.ts'
import { requireProgram, scratchDirectory, succeed } from '../suites.ts'
import { Api } from './api.ts'
import { buildControlPlane, type Program } from './build.ts'

/** A file for what the programs log. */
const LOG = process.env.QUORATE_KUBERNETES_LOG
const START_MS_MAX = 600_000

export interface EtcdServers {
  readonly urls: readonly string[]
  /** Files. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined
}

export class ControlPlane {
  readonly #etcd: EtcdServers
  readonly #programs: Readonly<Record<Program, string>>
  readonly #directory = scratchDirectory('control-plane')
  #servers = 0

  private constructor(etcd: EtcdServers, programs: Readonly<Record<Program, string>>) {
    this.#etcd = etcd
    this.#programs = programs
  }

  static async open(etcd: EtcdServers): Promise<ControlPlane> {
    const plane = new ControlPlane(etcd, await buildControlPlane())
    requireProgram('openssl', 'openssl')
    // Members of this group need no other rights.
    const subject = ['-subj', '/O=system:masters/CN=admin', '-addext', 'extendedKeyUsage=clientAuth']
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    const { cert, key } = plane.#admin
    await succeed('openssl', [
      'req',
      '-x509',
      '-days',
      '2',
      ...subject,
      ...kind,
      '-keyout',
      key,
      '-out',
      cert,
    ])
    await succeed('openssl', ['genrsa', '-out', plane.#accountKey, '2048'])
    return plane
  }

  readonly #at = (name: string): string => join(this.#directory, name)
  get #admin() {
    return { cert: this.#at('admin.crt'), key: this.#at('admin.key') }
  }
  /** The key that signs the tokens of service accounts. */
  get #accountKey(): string {
    return this.#at('accounts.key')
  }

  async startApiServer(): Promise<Api> {
    const { urls, tls } = this.#etcd
    const port = await freePorts(1)
    const certificates = this.#at(`server-${++this.#servers}`)
    const [admin, accountKey] = [this.#admin, this.#accountKey]
    const child = this.#start('kube-apiserver', [
      ...['--etcd-servers', urls.join()],
      ...(tls === undefined
        ? []
        : ['--etcd-cafile', tls.ca, '--etcd-certfile', tls.cert, '--etcd-keyfile', tls.key]),
      ...['--bind-address', '127.0.0.1', '--secure-port', String(port), '--cert-dir', certificates],
      // The API server refuses to publish an address of loopback. Nobody connects to this one.
      ...['--advertise-address', `192.0.2.${this.#servers}`, '--apiserver-count', '2'],
      ...['--client-ca-file', admin.cert, '--authorization-mode', 'RBAC'],
      ...['--service-account-issuer', 'https://kubernetes.default.svc'],
      ...['--service-account-key-file', accountKey, '--service-account-signing-key-file', accountKey],
      ...['--service-cluster-ip-range', '10.0.0.0/16'],
    ])
    const readCertificate = (): string | undefined => {
      checkRuns(child)
      try {
        return readFileSync(join(certificates, 'apiserver.crt'), 'utf8')
      } catch {
        return undefined
      }
    }
    const ca = await eventually(readCertificate, 100, START_MS_MAX)
    const [cert, key] = [readFileSync(admin.cert, 'utf8'), readFileSync(admin.key, 'utf8')]
    const api = new Api({ port, ca, cert, key })
    onTestFinished(() => api.close())
    const isReady = async (): Promise<boolean> => {
      checkRuns(child)
      return (await api.request('GET', '/readyz').catch(() => undefined))?.status === 200
    }
    await eventually(isReady, 200, START_MS_MAX)
    return api
  }

  /** Starts a controller manager and a scheduler, which use this API server. */
  startControllers({ url: server }: Api): void {
    const { cert, key } = this.#admin
    const config = this.#at('kubeconfig')
    writeFileSync(
      config,
      JSON.stringify({
        ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
        clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'admin', user: { 'client-certificate': cert, 'client-key': key } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      }),
    )
    const flags = [
      ...['--kubeconfig', config, '--bind-address', '127.0.0.1', '--secure-port', '0'],
      // Alone, each has its lease again after an election of the store, however busy the machine is.
      ...['--leader-elect-lease-duration', '5m', '--leader-elect-renew-deadline', '4m'],
    ]
    this.#start('kube-controller-manager', [
      ...[...flags, '--service-account-private-key-file', this.#accountKey],
      // The nodes of a test do not report.
      ...['--node-monitor-grace-period', '24h'],
    ])
    this.#start('kube-scheduler', flags)
  }

  #start(program: Program, args: readonly string[]): ChildProcess {
    const child = spawn(this.#programs[program], args, { stdio: ['ignore', 'ignore', 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    if (LOG === undefined) child.stderr.resume()
    else child.stderr.pipe(createWriteStream(LOG, { flags: 'a' }))
    return child
  }
}

function checkRuns({ exitCode, signalCode }: ChildProcess): void {
  if (exitCode !== null || signalCode !== null)
    throw new Error('the API server has ended: see QUORATE_KUBERNETES_LOG')
}
