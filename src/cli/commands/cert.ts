// kv cert: certificates for those who have none, their renewal and revocation. The code that makes them is loaded when
// it runs.

import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { dirname, join } from 'node:path'
import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import { shellWord } from '../../bytes/shell-word.ts'
import type { DirectoryPair } from '../../certificates/directory.ts'
import { nameLine } from '../../certificates/name-line.ts'
import { AUTHORITY, AUTHORITY_DAYS, CERTIFICATE_DAYS, pkcs12Path } from '../../certificates/paths.ts'
import { Failure, failureMessage, failureReason } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { assertNever } from '../../raft/index.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { readPasswordFile } from '../flags/credentials.ts'
import { directory, parseCount } from '../flags/flag-values.ts'
import { type GlobalFlags, outputFormat } from '../flags/global-flags.ts'
import { toJson, toJsonLine } from '../format/json.ts'
import { userPath } from '../terminal/io.ts'
import { printJson, printLines, say, writeLine } from '../terminal/output.ts'

const DEFAULT_DIR = 'certs'

export const command = ({ flags }: ProgramContext) =>
  new Command('cert')
    .description('certificates for TLS: a CA, nodes and users')
    .addCommand(
      withExamples(new Command('ca'), ['kv cert ca', 'kv cert ca --dir /etc/quorate/certs'])
        .description('make a CA, which signs the other certificates')
        .option('--dir <dir>', 'where its files are', directory, DEFAULT_DIR)
        .option('--days <count>', 'how long it is valid', parseDays, AUTHORITY_DAYS)
        .action(async ({ dir, days }) => {
          const { makeAuthority } = await loadDirectory()
          await printMade(flags(), userPath(dir), 'rotate-ca', () =>
            makeAuthority(userPath(dir), { name: 'quorate CA', days }),
          )
        }),
    )
    .addCommand(
      withExamples(new Command('node'), ['kv cert node n1 --host 10.0.0.1,n1.example.org'])
        .description('make the certificate of a node, for clients and for other nodes')
        .argument('<name>', 'of the node', parseNodeName)
        .requiredOption('--host <hosts>', 'names and addresses under which it is reached', parseHosts)
        .option('--dir <dir>', 'where the CA is, and the files go', directory, DEFAULT_DIR)
        .option('--days <count>', 'how long it is valid', parseDays, CERTIFICATE_DAYS)
        .action(async (name, { host: hosts, dir, days }) => {
          const { makeNodeCertificate } = await loadDirectory()
          await printMade(flags(), userPath(dir), `renew ${name}`, () =>
            makeNodeCertificate(userPath(dir), { name, hosts, days }),
          )
        }),
    )
    .addCommand(
      withBrowserFlags(
        withExamples(new Command('client'), ['kv cert client alice', 'kv cert client alice --p12']),
      )
        .description('make the certificate of a user')
        .argument('<user>', 'its name', parseUser)
        .option('--dir <dir>', 'where the CA is, and the files go', directory, DEFAULT_DIR)
        .option('--days <count>', 'how long it is valid', parseDays, CERTIFICATE_DAYS)
        .action(async (user, { dir, days, ...browser }) => {
          const { makeClientCertificate } = await loadDirectory()
          await makeForUser(flags(), userPath(dir), user, browser, () =>
            makeClientCertificate(userPath(dir), { user, days }),
          )
        }),
    )
    .addCommand(
      withBrowserFlags(withExamples(new Command('renew'), ['kv cert renew n1', 'kv cert renew alice --p12']))
        .description('make a certificate again, with a new key and its name')
        .argument('<name>', 'of the node or user', parseUser)
        .option(
          '--host <hosts>',
          'of a node: names and addresses (default: those of the one before)',
          parseHosts,
        )
        .option('--dir <dir>', 'where the CA and the certificate are', directory, DEFAULT_DIR)
        .option('--days <count>', 'how long it is valid (default: as long as the one before)', parseDays)
        .action(async (name, { host: hosts, dir, days, ...browser }) => {
          const { renewCertificate } = await loadDirectory()
          await makeForUser(flags(), userPath(dir), name, browser, () =>
            renewCertificate(userPath(dir), name, { days, hosts }),
          )
        }),
    )
    .addCommand(
      withExamples(new Command('revoke'), ['kv cert revoke alice'])
        .description('revoke all certificates of a node or user, and write ca.crl')
        .argument('<name>', 'of the node or user', parseUser)
        .option('--dir <dir>', 'where the CA is', directory, DEFAULT_DIR)
        .action(async (name, { dir }) => {
          const { revocationsPath, revokeCertificates } = await loadDirectory()
          const crl = revocationsPath(userPath(dir))
          const revoked = attempt(() => revokeCertificates(userPath(dir), name), userPath(dir))
          if (await printJson(outputFormat(flags()), { crl, revoked })) return
          await printLines(crl)
          const done =
            revoked === 0 ? `all certificates of ${name} were revoked already` : `revoked ${revoked}`
          say(`${done}; give ${crl} to all nodes, as --tls-crl and --peer-tls-crl`)
        }),
    )
    .addCommand(
      withExamples(new Command('rotate-ca'), ['kv cert rotate-ca', 'kv cert rotate-ca --copied'])
        .description('replace the CA in three steps, without a failed request: does the next one')
        .option('--dir <dir>', 'where the CA is', directory, DEFAULT_DIR)
        .option('--copied', 'the files of the step before are at all nodes and clients')
        .option('--days <count>', 'how long the new CA is valid', parseDays, AUTHORITY_DAYS)
        .action(async ({ dir, copied = false, days }) => {
          await rotate(flags(), userPath(dir), copied, days)
        }),
    )
    .addCommand(
      withExamples(new Command('show'), ['kv cert show certs/n1.crt'])
        .description('print what the certificates in a file say')
        .argument('<file>', 'in PEM')
        .action((file) => show(flags(), file)),
    )

function withBrowserFlags(command: Command) {
  return command
    .option('--p12', 'also write a .p12 file, which browsers import')
    .option(
      '--password-file <file>',
      'the password of the .p12 file; - is standard input (default: a new one)',
    )
}

const loadDirectory = () => import('../../certificates/directory.ts')

const COPY_TRUST =
  'copy ca.crt to all nodes (--tls-ca, --peer-tls-ca) and clients (--cacert), wait until they have read it (10 s)'

async function rotate(flags: GlobalFlags, dir: string, copied: boolean, days: number): Promise<void> {
  const { nextRotation, rotateAuthority } = await loadDirectory()
  const turn = nextRotation(dir)
  if (turn > 1 && !copied)
    throw new Failure(
      EXIT.failed,
      turn === 2
        ? `step 2 of 3 signs all certificates with the new CA: before it, ${COPY_TRUST}; then: ${PROGRAM} cert rotate-ca --copied`
        : `step 3 of 3 ends the trust in the old CA: before it, copy the renewed certificates and keys to their nodes and users; then: ${PROGRAM} cert rotate-ca --copied`,
    )
  const name = `quorate CA ${new Date().toISOString().slice(0, 10)}`
  const done = attempt(() => rotateAuthority(dir, { name, days }), dir)
  if (await printJson(outputFormat(flags), done)) return
  switch (done.step) {
    case 1:
      await printLines(done.trust)
      say(
        `step 1 of 3: ca.crt has a new CA beside the old one: ${COPY_TRUST}; then: ${PROGRAM} cert rotate-ca --copied`,
      )
      return
    case 2:
      await printLines(done.renewed.join('\n'))
      say(
        `step 2 of 3: these certificates are signed by the new CA: copy them and their keys to their nodes and users; then: ${PROGRAM} cert rotate-ca --copied`,
      )
      for (const file of readdirSync(dir)
        .filter((each) => each.endsWith('.p12'))
        .sort())
        say(`${join(dir, file)} is signed by the old CA: ${PROGRAM} cert renew ${file.slice(0, -4)} --p12`)
      return
    case 3:
      await printLines(done.trust)
      say(
        `step 3 of 3: ca.crt has the new CA alone: copy it, and ca.crl if there is one, to all nodes and clients`,
      )
      return
    default:
      assertNever(done)
  }
}

async function printMade(
  flags: GlobalFlags,
  dir: string,
  replacement: string,
  make: () => DirectoryPair,
): Promise<DirectoryPair> {
  const made = attempt(make, dir)
  const { paths } = made
  if (!(await printJson(outputFormat(flags), paths))) await printLines(`${paths.cert}\n${paths.key}`)
  sayIfKept(made, dir, replacement)
  return made
}

/** Names the command that replaces a pair which was there already. */
function sayIfKept({ paths, keptUntil }: DirectoryPair, dir: string, replacement: string): void {
  if (keptUntil === undefined) return
  say(
    `${paths.cert} and its key were there already, and are valid until ${keptUntil.toISOString()}; to replace them: ${commandIn(dir, replacement)}`,
  )
}

const commandIn = (dir: string, args: string): string =>
  `${PROGRAM} cert ${args}${dir === userPath(DEFAULT_DIR) ? '' : ` --dir ${shellWord(dir)}`}`

interface BrowserFlags {
  readonly p12?: true | undefined
  readonly passwordFile?: string | undefined
}

/** Makes the certificate, and with `--p12` the file for browsers. Its password is read before anything is made. */
async function makeForUser(
  flags: GlobalFlags,
  dir: string,
  user: string,
  { p12, passwordFile }: BrowserFlags,
  make: () => DirectoryPair,
): Promise<void> {
  const replacement = `renew ${user}`
  if (p12 === undefined) {
    if (passwordFile !== undefined)
      throw new Failure(EXIT.usage, '--password-file is the password of a .p12 file: add --p12')
    const { keptUntil } = await printMade(flags, dir, replacement, make)
    const before = pkcs12Path(dir, user)
    if (keptUntil === undefined && existsSync(before))
      say(`${before} has the certificate of before: --p12 writes a new one`)
    return
  }
  const { pkcs12PasswordFault, randomPassword } = await import('../../certificates/pkcs12.ts')
  const own = passwordFile === undefined ? undefined : await readPasswordFile(passwordFile)
  const fault = own === undefined ? undefined : pkcs12PasswordFault(own)
  if (fault !== undefined) throw new Failure(EXIT.usage, `${fault}; nothing was made`)
  const { makeForBrowsers } = await loadDirectory()
  const password = own ?? randomPassword()
  const made = attempt(() => makeForBrowsers(dir, user, password, make), dir)
  const { paths, p12: file } = made
  const json = { ...paths, p12: file, ...(own === undefined ? { password } : undefined) }
  if (!(await printJson(outputFormat(flags), json))) {
    await printLines(`${paths.cert}\n${paths.key}\n${file}`)
    const its = own === undefined ? `; its password is not kept anywhere: ${password}` : ''
    say(`import ${file} in the browser${its}`)
  }
  sayIfKept(made, dir, replacement)
}

/** The errors of `make` name the command that solves them, in this directory. */
function attempt<T>(make: () => T, dir: string): T {
  try {
    return make()
  } catch (error) {
    const command = error instanceof Error && 'command' in error ? String(error.command) : ''
    throw new Failure(
      EXIT.failed,
      `${failureMessage(error)}${command === '' ? '' : `: ${commandIn(dir, command)}`}`,
    )
  }
}

interface ShownCertificate {
  readonly subject: string
  readonly issuer: string
  readonly names: string
  readonly ca: boolean
  readonly purposes: readonly string[]
  readonly serial: string
  readonly valid_from: string
  readonly valid_to: string
  readonly days_left: number
  /** Whether ca.crl beside the file has it; null: there is none. */
  readonly revoked: boolean | null
  readonly fingerprint_sha256: string
}

async function show(flags: GlobalFlags, file: string): Promise<void> {
  const isRevoked = await revocationsBeside(file)
  const certificates = readCertificates(file).map((each) => describeCertificate(each, isRevoked(each)))
  const format = outputFormat(flags)
  if (format === 'json') await writeLine(toJson(certificates))
  else if (format === 'ndjson') for (const each of certificates) await writeLine(toJsonLine(each))
  else await printLines(certificates.map(certificateText).join('\n\n'))
}

function readCertificates(file: string): X509Certificate[] {
  try {
    const text = readFileSync(userPath(file), 'latin1')
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block))
  } catch (error) {
    throw new Failure(EXIT.failed, `${file} cannot be read: ${failureReason(error)}`)
  }
  throw new Failure(EXIT.failed, `${file} has no certificate in PEM (BEGIN CERTIFICATE)`)
}

/** A file of another origin says nothing about these certificates. */
async function revocationsBeside(file: string): Promise<(certificate: X509Certificate) => boolean | null> {
  const path = join(dirname(userPath(file)), `${AUTHORITY}.crl`)
  if (!existsSync(path)) return () => null
  const { readRevocationLists } = await import('../../certificates/revocations.ts')
  const lists = attempt(() => readRevocationLists(readFileSync(path)), dirname(path))
  return ({ issuer, serialNumber }) =>
    lists.some((list) => list.issuer === nameLine(issuer) && list.serials.has(serialNumber))
}

const DAY_MS = 86_400_000
const PURPOSES: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'server',
  '1.3.6.1.5.5.7.3.2': 'client',
}

function describeCertificate(certificate: X509Certificate, revoked: boolean | null): ShownCertificate {
  const { subject, issuer, subjectAltName = '', ca, keyUsage, validFromDate, validToDate } = certificate
  const purposes: readonly string[] = keyUsage ?? []
  return {
    subject: nameLine(subject),
    issuer: nameLine(issuer),
    names: subjectAltName,
    ca,
    purposes: purposes.map((id) => PURPOSES[id] ?? id),
    serial: certificate.serialNumber,
    valid_from: validFromDate.toISOString(),
    valid_to: validToDate.toISOString(),
    days_left: Math.floor((validToDate.getTime() - Date.now()) / DAY_MS),
    revoked,
    fingerprint_sha256: certificate.fingerprint256,
  }
}

const certificateText = (shown: ShownCertificate): string =>
  [
    `subject      ${shown.subject}`,
    `names        ${shown.names === '' ? '-' : shown.names}`,
    `issuer       ${shown.issuer}`,
    `for          ${shown.ca ? 'a CA' : shown.purposes.join(' and ') || '-'}`,
    `valid        ${shown.valid_from} to ${shown.valid_to} (${daysLeft(shown.days_left)})`,
    ...(shown.revoked === true ? ['revoked      yes'] : []),
    `serial       ${shown.serial}`,
    `fingerprint  ${shown.fingerprint_sha256}`,
  ].join('\n')

const daysLeft = (days: number): string => (days < 0 ? 'it has ended' : `${days} days left`)

function parseDays(text: string): number {
  const days = parseCount(text)
  if (days < 1 || days > 36_500) throw new InvalidArgumentError('it must be from 1 to 36500')
  return days
}

function parseNodeName(text: string): string {
  if (!/^[a-z0-9-]{1,63}$/.test(text) || text === AUTHORITY)
    throw new InvalidArgumentError(`it must be 1 to 63 of a-z, 0-9 and -, and not ${AUTHORITY}`)
  return text
}

/** Also the name of the files. */
function parseUser(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(text) || text === AUTHORITY)
    throw new InvalidArgumentError(
      `it must be 1 to 64 letters, digits, or any of . _ @ -, begin with a letter or a digit, and not be ${AUTHORITY}`,
    )
  return text
}

function parseHosts(text: string): string[] {
  const hosts = text.split(',').filter((host) => host !== '')
  const wrong = hosts.find(
    (host) => isIP(host) === 0 && !/^(?:\*\.)?[A-Za-z0-9][A-Za-z0-9.-]{0,251}$/.test(host),
  )
  if (wrong !== undefined) throw new InvalidArgumentError(`${wrong} is neither a host name nor an address`)
  if (hosts.length === 0) throw new InvalidArgumentError('it must name at least one host')
  return hosts
}
