// kv console: opens the console of the cluster that commands use, and prints its address.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Command } from '@commander-js/extra-typings'
import { secureOptions } from '../../client/tls.ts'
import { writeFileAtomically } from '../../files/durable.ts'
import { CONSOLE_FILE, DEFAULT_DATA } from '../../local/directory/cluster-file.ts'
import { Failure, writing } from '../../local/failure.ts'
import { requestHttp } from '../../system/http-request.ts'
import { resolvePath, sendRequest } from '../cluster/requests.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { inContext } from '../contexts.ts'
import { openInBrowser } from '../exec/browser.ts'
import { EXIT } from '../exit-codes.ts'
import { directory } from '../flags/flag-values.ts'
import { chooseEndpoints, chooseTls, type GlobalFlags } from '../flags/global-flags.ts'
import { say, writeLine } from '../terminal/output.ts'

/** Time for a node to answer. */
const PROBE_TIMEOUT_MS = 2_000

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('console'), ['kv console', 'kv console --endpoints https://10.0.0.1:7301'])
    .description('open the console in the browser, and print its address')
    .option('--data <dir>', 'the local cluster in this directory', directory)
    .option('--no-open', 'only print the address')
    .action(async ({ data, open }) => {
      const found = await findConsole(flags(), data)
      await writeLine(found.address)
      if (!open) return
      const reason = await openInBrowser(pageToOpen(found))
      if (reason !== undefined) say(`open this address in a browser; none was opened: ${reason}`)
    })

interface FoundConsole {
  readonly address: string
  /** Directory of the local cluster, if the address has its token. */
  readonly dataDir?: string
}

async function findConsole(given: GlobalFlags, data: string | undefined): Promise<FoundConsole> {
  const { flags, contextName } = inContext(given)
  const endpoints = chooseEndpoints(flags, contextName)
  if (data === undefined && endpoints.source !== 'local cluster')
    return { address: await findNode(endpoints.urls, flags) }
  const dataDir = data ?? DEFAULT_DATA
  const { console, status } = await sendRequest(dataDir, { command: 'status' })
  if (console !== undefined) return { address: console, dataDir: resolvePath(dataDir) }
  // It was started with --no-console.
  const running = status?.nodes.find(({ state }) => state === 'running')
  if (running === undefined) throw new Failure(EXIT.unreachable, `no node of the cluster in ${dataDir} runs`)
  return { address: pageOf(running.url) }
}

/** The page of the first node that answers, whatever it answers. */
async function findNode(urls: readonly string[], flags: GlobalFlags): Promise<string> {
  const chosen = chooseTls(flags)
  for (const url of urls) {
    const tls = chosen && secureOptions(chosen, new URL(url).hostname)
    const probe = `${url.replace(/\/$/, '')}/livez`
    const reply = await requestHttp(probe, { timeoutMs: PROBE_TIMEOUT_MS, tls }).catch(() => undefined)
    if (reply !== undefined) return pageOf(url)
  }
  throw new Failure(EXIT.unreachable, `no node answers at ${urls.join(', ')}`)
}

const pageOf = (url: string): string => `${url.replace(/\/$/, '')}/ui/`

/**
 * All users of the machine can read the arguments of a program, so an address with a token is in a file, which only its
 * owner can read. The browser goes from the file to the address.
 */
function pageToOpen({ address, dataDir }: FoundConsole): string {
  if (dataDir === undefined) return address
  const path = join(dataDir, CONSOLE_FILE)
  const html = [
    '<!doctype html><meta charset="utf-8"><title>quorate</title>',
    `<meta http-equiv="refresh" content="0; url=${address}">`,
    `<a href="${address}">the console</a>\n`,
  ].join('\n')
  writing(path, () => writeFileAtomically(path, html, 0o600))
  return pathToFileURL(path).href
}
