// `kv node setup`: user, directories, unit and environment file of a node that systemd runs.

import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import { Failure } from '../../local/failure.ts'
import { hostPort } from '../../system/addresses.ts'
import { withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { listenAddress, nodeName, parseNodeNumber, urls } from '../flags/address-values.ts'
import { directory, parseText, parseTimeout } from '../flags/flag-values.ts'
import type { Step, StepEffect } from '../setup/steps.ts'
import { fileContent, standardInput } from '../terminal/input.ts'
import { userPath } from '../terminal/io.ts'
import { printLines, say } from '../terminal/output.ts'

export const setupCommand = () =>
  withExamples(new Command('setup'), [
    'cat ca.crt n1.crt n1.key | kv node setup --name n1 --host 10.77.0.1 --certs - --bootstrap --start',
    'kv node setup --name n2 --host 10.77.0.2 --certs n2.pem --join https://10.77.0.1:7301 --start',
    'kv node setup --replace --join https://10.77.0.2:7301 --start',
  ])
    .description(
      'as root, on Linux: user, directories, unit and environment file of a node that systemd runs',
    )
    .option('--name <name>', 'its name in the cluster: 1 to 63 of a-z, 0-9 and -', nodeName)
    .option(
      '--host <host>',
      'the address or name of this machine, where clients and other nodes reach it',
      host,
    )
    .option('--bootstrap', 'found a new cluster: on one machine, once')
    .option('--join <urls>', 'join a cluster through these nodes, joined by commas', urls)
    .option('--replace', 'the data of this node is lost: it takes the place of its replica at the next start')
    .option(
      '--certs <file>',
      'PEM with the certificate of the node, its key and the certificate of the CA; - is standard input',
      parseText,
    )
    .option(
      '--metrics-listen <addresses>',
      'where probes and Prometheus reach it over plain HTTP, joined by commas (default: 127.0.0.1:7501)',
      addresses,
    )
    .option('--backup-to <dir>', 'an absolute path, on another disk, or s3://BUCKET/PREFIX', directory)
    .option('--backup-every <duration>', 'how old the newest backup may be (default: 1h)', duration)
    .option('--backup-keep <count>', 'how many backups are kept (default: 24)', parseNodeNumber)
    .option('--start', 'then start the node, also after a restart of the machine')
    .option('--dry-run', 'show what would be done, and change nothing')
    .option(
      '--root <dir>',
      'a directory that stands for /: files are made, and nothing is started',
      directory,
    )
    .addHelpText('after', NOTES)
    .action(async (flags) => {
      const { START, planSetup } = await import('../setup/setup.ts')
      const { certs, backupTo, backupEvery, backupKeep, dryRun = false } = flags
      if (backupTo === undefined && (backupEvery ?? backupKeep) !== undefined)
        throw new Failure(EXIT.usage, '--backup-every and --backup-keep need --backup-to')
      const setup = await planSetup({
        name: flags.name,
        host: flags.host,
        join: flags.join,
        dryRun,
        metrics: flags.metricsListen,
        bootstrap: flags.bootstrap === true,
        replace: flags.replace === true,
        start: flags.start === true,
        root: flags.root === undefined ? '/' : resolve(userPath(flags.root)),
        certificates: certs === undefined ? undefined : (await readCertificateInput(certs)).toString(),
        backup:
          backupTo === undefined
            ? undefined
            : { to: backupTo, every: backupEvery ?? '1h', keep: backupKeep ?? 24 },
      })
      for (const note of setup.notes) say(`note: ${note}`)
      if (dryRun) return printLines(setup.steps.map(describeStep).join('\n'))
      for (const step of setup.steps) {
        await step.run()
        await printLines(`${step.subject}: ${DONE[step.effect]}`)
      }
      const { NAME, BACKUP } = setup.environment
      if (BACKUP.includes('s3://'))
        say(`put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into ${BACKUP_KEYS}, with mode 600`)
      if (setup.steps.every(({ effect }) => effect === 'none' || effect === 'run'))
        return say(`nothing to change: this machine has node ${NAME}`)
      if (setup.isRestartDue)
        return say(`if ${NAME} runs: systemctl restart quorate, on one machine at a time`)
      const isNew = setup.steps.some(({ effect }) => effect === 'new')
      if (flags.start === true) say(`${NAME} starts; see: systemctl status quorate`)
      else if (isNew) say(`start it: ${START.join(' ')}`)
      else say('a node that runs reads its certificates again within 10 seconds')
    })

const BACKUP_KEYS = '/etc/quorate/backup.env'
const NOTES = `
A second run changes only what differs: flags that are given, certificates, the unit of this version of
quorate. It keeps the name, the host, and what you have added to /etc/quorate/quorate.env.`

const DONE: Readonly<Record<StepEffect, string>> = {
  none: 'as it should be',
  new: 'made',
  changed: 'changed',
  run: 'done',
}
const PLANNED: Readonly<Record<StepEffect, string>> = {
  none: 'as it should be',
  new: 'to make',
  changed: 'to change',
  run: 'to do',
}

/** The step, and the content of its file. */
function describeStep({ subject, effect, content }: Step): string {
  const line = `${subject}: ${PLANNED[effect]}`
  if (effect === 'none' || content === undefined || content.includes('BEGIN CERTIFICATE')) return line
  return [
    line,
    ...content
      .trimEnd()
      .split('\n')
      .map((each) => `  ${each}`.trimEnd()),
  ].join('\n')
}

const readCertificateInput = (file: string): Promise<Buffer> =>
  file === '-' ? standardInput('certificates') : fileContent(file, 'certificates')

function host(text: string): string {
  const isWildcard = ['0.0.0.0', '::', '[::]'].includes(text)
  if (!isWildcard && (isIP(text) === 4 || /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(text)))
    return text
  if (isIP(text) === 6 && !isWildcard) return `[${text}]`
  throw new InvalidArgumentError('it must be an address or a name of this machine, without a port')
}

const addresses = (text: string): readonly string[] =>
  text.split(',').map((address) => hostPort(listenAddress(address.trim())))

function duration(text: string): string {
  parseTimeout(text)
  return text.trim()
}
