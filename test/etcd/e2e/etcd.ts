// A program with the flags of etcd that is a node of quorate: what etcd's end-to-end tests start as `etcd`. It prints
// the lines for which they wait. A flag without a counterpart is an error. The variable PROBE_DISTANCE says how far the
// port for metrics is above that for clients, where a suite uses the third.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { main } from '../../../src/cli/main.ts'

const text = { type: 'string' } as const
const isGiven = { type: 'boolean' } as const

let isAnnounced = false
const args = process.argv.slice(2)
// The suite of 3.6 asks for the version, and chooses flags by it.
if (args[0] === '--version') console.log('etcd Version: 3.6.0')
else await startNode()

async function startNode(): Promise<void> {
  const { values: flags } = parseArgs({
    // etcd's flags are given with `=true` or `=false`, or alone, and with one dash or two.
    args: args
      .filter((arg) => !arg.endsWith('=false'))
      .map((arg) => arg.replace(/=true$/, '').replace(/^-(?=[a-z])/, '--')),
    options: {
      name: text,
      'data-dir': text,
      'listen-client-urls': text,
      'advertise-client-urls': text,
      'listen-peer-urls': text,
      'initial-advertise-peer-urls': text,
      'initial-cluster': text,
      'cert-file': text,
      'key-file': text,
      'trusted-ca-file': text,
      'client-cert-auth': isGiven,
      'client-crl-file': text,
      'auto-tls': isGiven,
      'peer-cert-file': text,
      'peer-key-file': text,
      'peer-trusted-ca-file': text,
      'peer-auto-tls': isGiven,
      // Quorate checks changes of members in every case, and its own files when it reads them. Its tokens are of one
      // kind, its snapshots are made by size, and the number of streams has a limit of its own. The suite gives
      // --enable-v2 to most members, of which few tests need it.
      'experimental-initial-corrupt-check': isGiven,
      'initial-cluster-token': text,
      'initial-cluster-state': text,
      'auth-token': text,
      'snapshot-count': text,
      'max-concurrent-streams': text,
      'enable-v2': isGiven,
    },
  })
  const certificates = process.env.AUTO_CERTIFICATES ?? ''
  const auto = {
    'cert-file': join(certificates, 'auto.crt'),
    'key-file': join(certificates, 'auto.key'),
    'trusted-ca-file': join(certificates, 'ca.crt'),
  }
  const files = flags['auto-tls'] ? auto : flags
  const peerFiles = flags['peer-auto-tls']
    ? auto
    : {
        'cert-file': flags['peer-cert-file'],
        'key-file': flags['peer-key-file'],
        'trusted-ca-file': flags['peer-trusted-ca-file'],
      }
  const client = new URL(only(flags['listen-client-urls'], '--listen-client-urls'))
  const peer = new URL(only(flags['listen-peer-urls'], '--listen-peer-urls'))
  const members = (flags['initial-cluster'] ?? '').split(',').map((member) => member.split('='))
  const [first, firstPeer = ''] = members[0] ?? []
  // A node joins through the client port of another one, whose certificate it checks as that of a peer.
  const own = peerFiles['cert-file'] === undefined && members.length > 1 ? files : peerFiles
  // The suite gives each member ports in a row: for clients, for peers, for metrics, and two that it does not use.
  const firstClient = `${client.protocol}//localhost:${Number(new URL(firstPeer).port) - 1}`
  const probe = `localhost:${Number(client.port) + Number(process.env.PROBE_DISTANCE ?? 3)}`
  const data = flags['data-dir'] ?? ''
  const isNew = !existsSync(data) || readdirSync(data).length === 0
  const founding = first === flags.name ? ['--bootstrap'] : ['--join', firstClient]

  void announce(probe, isNew ? members.length : 1)
  process.on('exit', endAsEtcd)
  process.exitCode = await main([
    ...['node', 'start', '--log-level', 'warn', '--metrics-listen', probe],
    ...given('--name', flags.name && nodeName(flags.name)),
    ...given('--data', data),
    ...given('--listen', client.host),
    ...given('--peer-listen', peer.host),
    ...given('--advertise-url', flags['advertise-client-urls']),
    ...(isNew ? founding : []),
    ...given('--tls-cert', files['cert-file']),
    ...given('--tls-key', files['key-file']),
    ...given('--tls-ca', files['trusted-ca-file']),
    ...given('--tls-crl', flags['client-crl-file']),
    ...(flags['client-cert-auth'] ? ['--client-cert', 'required'] : []),
    ...given('--peer-tls-cert', own['cert-file']),
    ...given('--peer-tls-key', own['key-file']),
    ...given('--peer-tls-ca', own['trusted-ca-file']),
  ])
}

/** Names of nodes have small letters, digits and `-`. The end of a long name is what tells members apart. */
function nodeName(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '-')
    .slice(-63)
    .replace(/^-+/, '')
}

function given(flag: string, value: string | undefined): readonly string[] {
  return value === undefined ? [] : [flag, value]
}

function only(urls: string | undefined, flag: string): string {
  const [url, ...more] = (urls ?? '').split(',')
  if (url && more.length === 0) return url
  throw new Error(`${flag} must be one URL: a node of quorate has one address`)
}

/** Says what etcd says when the cluster has all its members and serves. */
async function announce(probe: string, voters: number): Promise<void> {
  const read = async (path: string) => {
    const response = await fetch(`http://${probe}${path}`).catch(() => undefined)
    return response?.ok ? response.text() : undefined
  }
  for (;;) {
    const metrics = (await read('/readyz')) === undefined ? undefined : await read('/metrics')
    const [, count] = /^quorate_voters\S* (\d+)$/m.exec(metrics ?? '') ?? []
    if (Number(count) >= voters) break
    await sleep(20)
  }
  console.log('enabled capabilities for version 3.7')
  console.log('published this member')
  console.log('ready to serve client requests')
  isAnnounced = true
}

/** The suite accepts no other end: SIGINT ends etcd itself, and a member that was removed has not failed. */
function endAsEtcd(exitCode: number): void {
  if (exitCode === 130) {
    process.removeAllListeners('SIGINT')
    process.kill(process.pid, 'SIGINT')
  }
  if (isAnnounced && exitCode === 1) process.exitCode = 0
}
