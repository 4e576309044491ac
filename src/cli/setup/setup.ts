// `kv node setup`: all that systemd needs to run a node on this machine. Everything is checked before anything is
// changed. The environment file is written last: while it is missing, the set-up may be repeated; once it is there, no
// second cluster is founded on this machine.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { isBucket } from '../../backup/target.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import {
  holdsNode,
  isInUseError,
  isStorageError,
  readIdentityIfFormatted,
} from '../../server/replica/inspect-data-directory.ts'
import { EXIT } from '../exit-codes.ts'
import {
  CertificateFault,
  checkCertificates,
  type NodeCertificateFiles,
  sortedCertificates,
} from './certificates.ts'
import { type MachinePaths, machinePaths } from './machine-paths.ts'
import {
  commandStep,
  directoryStep,
  fileStep,
  foundingStep,
  isEmptyDirectory,
  type ServiceIds,
  type Step,
  serviceIds,
  userStep,
} from './steps.ts'
import { environmentText, type NodeEnvironment, parseEnvironment, runningPrograms, unitText } from './unit.ts'

interface SetupOptions {
  readonly name?: string | undefined
  readonly host?: string | undefined
  readonly bootstrap: boolean
  readonly join?: readonly string[] | undefined
  /** Addresses of `--metrics-listen`. */
  readonly metrics?: readonly string[] | undefined
  readonly backup?: { readonly to: string; readonly every: string; readonly keep: number } | undefined
  /** Certificates in PEM. */
  readonly certificates?: string | undefined
  readonly replace: boolean
  readonly start: boolean
  readonly dryRun: boolean
  /** `/`, or a directory that stands for it. */
  readonly root: string
}

interface Setup {
  readonly environment: NodeEnvironment
  readonly steps: readonly Step[]
  /** Whether a node that runs has other flags now. */
  readonly isRestartDue: boolean
  /** Consequences that an operator may not want. */
  readonly notes: readonly string[]
}

const usage = (message: string): Failure => new Failure(EXIT.usage, message)

/** Throws a `Failure` if something is wrong. Changes nothing. */
export async function planSetup(options: SetupOptions): Promise<Setup> {
  refuseMachine(options)
  const paths = machinePaths(options.root)
  const before = existsSync(paths.environment) ? readFileSync(paths.environment, 'utf8') : undefined
  const environment = wantedEnvironment(options, paths, before)
  const programs = runningPrograms()
  if (options.root === '/') refuseHidden(programs.node, programs.quorate)
  refuseData(options, paths, environment.NAME, before !== undefined)
  if (options.replace) await refuseMemberData(paths.data)
  const certificates = wantedCertificates(options, paths, environment.HOST)
  // The user is made before the files that are to be theirs.
  const owner = (): ServiceIds =>
    options.root === '/' && process.getuid?.() === 0 ? serviceIds() : undefined
  const nobody = (): ServiceIds => undefined
  const backupTo = /^--backup-to=(\S+)/.exec(environment.BACKUP)?.[1]
  const backups = backupTo === undefined || isBucket(backupTo) ? [] : [backupTo]
  const { configuration, state, data, unit } = paths
  const open = { mode: 0o644, owner: nobody }
  const steps: Step[] = [
    ...(options.root === '/' ? [userStep(state)] : []),
    directoryStep({ path: configuration, mode: 0o755, owner: nobody }),
    directoryStep({ path: state, mode: 0o700, owner }),
    ...backups.map((path) => directoryStep({ path: join(options.root, path), mode: 0o700, owner })),
    fileStep({ path: paths.ca, content: certificates.ca, ...open }),
    fileStep({ path: paths.key, content: certificates.key, mode: 0o600, owner, isSecret: true }),
    fileStep({ path: paths.cert, content: certificates.cert, ...open }),
    ...(options.bootstrap ? [foundingStep(programs, { name: environment.NAME, data, owner })] : []),
    ...(options.replace
      ? [fileStep({ path: paths.replacement, content: 'REPLACE=--replace\n', ...open })]
      : []),
    fileStep({ path: unit, content: unitText(programs, backups), ...open }),
    fileStep({ path: paths.environment, content: environmentText(before, environment), ...open }),
  ]
  // Systemd does not look at the unit by itself.
  const isUnitChanged = steps.some(({ subject, effect }) => subject === unit && effect !== 'none')
  if (options.root === '/' && (isUnitChanged || options.start))
    steps.push(commandStep('systemctl', 'daemon-reload'))
  if (options.start) steps.push(commandStep(...START))
  const isRestartDue = steps.some(
    ({ subject, effect }) => [unit, paths.environment].includes(subject) && effect === 'changed',
  )
  return { environment, steps, isRestartDue, notes: notesOnBackups(backupTo, options.root, state) }
}

/** Probes of the machine itself reach it without a certificate. */
const METRICS_DEFAULT = '127.0.0.1:7501'

export const START = ['systemctl', 'enable', '--now', 'quorate']

function refuseMachine({ root, dryRun, start }: SetupOptions): void {
  if (start && root !== '/') throw usage('--start starts the node of this machine, and --root is another one')
  if (process.platform !== 'linux')
    throw usage(
      `this is for Linux with systemd; elsewhere run ${PROGRAM} node start under your service manager`,
    )
  if (root !== '/' || dryRun) return
  if (!existsSync('/run/systemd/system'))
    throw usage(`systemd does not run here; run ${PROGRAM} node start under your service manager`)
  if (process.getuid?.() !== 0)
    throw usage('only root can set up a machine; --dry-run shows what it would do')
}

function wantedEnvironment(
  { name, host, join, metrics, backup, bootstrap, replace }: SetupOptions,
  { environment: path }: MachinePaths,
  before: string | undefined,
): NodeEnvironment {
  const found = before === undefined ? {} : parseEnvironment(before)
  for (const [flag, given, known] of [
    ['--name', name, found.NAME],
    ['--host', host, found.HOST],
  ] as const)
    if (given !== undefined && known !== undefined && given !== known)
      throw usage(
        `this machine has node ${found.NAME} at ${found.HOST} (${path}), not ${flag} ${given}; to give it up, remove the node from the cluster and delete that file`,
      )
  const [NAME, HOST] = [name ?? found.NAME, host ?? found.HOST]
  if (NAME === undefined || HOST === undefined) throw usage('a new node needs --name and --host')
  if (bootstrap && join !== undefined)
    throw usage('--bootstrap founds a new cluster, --join enters one that exists: give one of them')
  if (replace && before === undefined) throw usage('--replace is for a machine that was set up before')
  if (before === undefined && !bootstrap && join === undefined)
    throw usage('give --bootstrap for the first node of a new cluster, once, and --join URL for the others')
  const JOIN = join === undefined ? (found.JOIN ?? '') : `--join=${join.join(',')}`
  if (replace && JOIN === '') throw usage('--replace needs --join URL: nodes of the cluster that run')
  const BACKUP =
    backup === undefined
      ? (found.BACKUP ?? '')
      : `--backup-to=${backup.to} --backup-every=${backup.every} --backup-keep=${backup.keep}`
  if (backup !== undefined && !isBucket(backup.to) && !isAbsolute(backup.to))
    throw usage('--backup-to must be an absolute path, or s3://BUCKET/PREFIX')
  if (/[\s'"\\$]/.test(backup?.to ?? ''))
    throw usage('--backup-to may have no spaces, quotes, dollars or backslashes')
  const METRICS =
    metrics === undefined
      ? (found.METRICS ?? `--metrics-listen=${METRICS_DEFAULT}`)
      : metrics.map((address) => `--metrics-listen=${address}`).join(' ')
  return { NAME, HOST, JOIN, METRICS, BACKUP }
}

/** systemd hides these directories from the node (ProtectHome). */
function refuseHidden(...programs: readonly string[]): void {
  const hidden = programs.find((path) => /^\/(?:home|root|run\/user)\//.test(path))
  if (hidden !== undefined)
    throw usage(
      `the service cannot read ${hidden}: install Node.js and quorate for all users (npm install --global, as root)`,
    )
}

function refuseData(
  { bootstrap }: SetupOptions,
  { data }: MachinePaths,
  name: string,
  isSetUp: boolean,
): void {
  const identity = readIdentityIfFormatted(data)
  if (identity !== undefined && identity.name !== name)
    throw usage(`${data} has the data of node ${identity.name}, not of ${name}`)
  if (bootstrap && isSetUp && isEmptyDirectory(data))
    throw usage(
      'this machine has founded its cluster before, and its data is gone; to take its place in that cluster: --replace --join URL',
    )
  if (bootstrap && identity === undefined && !isEmptyDirectory(data))
    throw usage(`${data} is not empty, and holds no node`)
}

/**
 * A node that the cluster did not accept has left a replica that was never a member, or has not even formatted its
 * directory.
 */
async function refuseMemberData(data: string): Promise<void> {
  if (!holdsNode(data)) return
  const { inspectReplica } = await import('../../server/replica/stopped-replica.ts')
  const members = await inspectReplica(data).then(
    (replica) => replica.members,
    (error: unknown) => {
      if (isInUseError(error)) throw usage(`a node runs on ${data}; stop it first: systemctl stop quorate`)
      if (isStorageError(error)) return undefined
      throw error
    },
  )
  if (members?.length !== 0) throw usage(`${data} still has data of a member; move that directory away first`)
}

function wantedCertificates(
  { certificates }: SetupOptions,
  { ca, cert, key }: MachinePaths,
  host: string,
): NodeCertificateFiles {
  try {
    const missing = [ca, cert, key].find((path) => !existsSync(path))
    if (certificates === undefined && missing !== undefined)
      throw usage(
        `there is no ${missing}; give the certificates of this node, its key and its CA: cat certs/ca.crt certs/NAME.crt certs/NAME.key | ${PROGRAM} node setup --certs - …`,
      )
    const read = (path: string): string => readFileSync(path, 'utf8')
    const files =
      certificates === undefined
        ? { ca: read(ca), cert: read(cert), key: read(key) }
        : sortedCertificates(certificates)
    checkCertificates(files, host)
    return files
  } catch (error) {
    if (error instanceof CertificateFault) throw usage(`the certificates of this node: ${error.message}`)
    throw error
  }
}

function notesOnBackups(to: string | undefined, root: string, state: string): readonly string[] {
  if (to === undefined) return ['this node makes no scheduled backups: --backup-to']
  if (isBucket(to)) return []
  const statDevice = (path: string): number => statSync(existingAbove(path)).dev
  return statDevice(join(root, to)) === statDevice(state)
    ? [
        `${to} is on the file system of the data: a lost disk takes the backups too, and none is made while it is nearly full`,
      ]
    : []
}

const existingAbove = (path: string): string => (existsSync(path) ? path : existingAbove(dirname(path)))
