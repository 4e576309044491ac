// Chromium for the tests of the console. A test has a page of its own, and fails if the page broke a rule: an error in
// its script, something that the content security policy refused, a request to another origin.

import { existsSync } from 'node:fs'
import axeCore from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core'
import { afterAll, describe, expect, onTestFinished } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const executablePath = process.env.QUORATE_CHROMIUM ?? PLACES.find((path) => existsSync(path))

/**
 * The tests of this block share a browser, and the clusters that they start end with it. They are skipped where there
 * is no Chromium.
 */
export function describeConsole(name: string, tests: () => void): void {
  describe.skipIf(executablePath === undefined)(name, () => {
    afterAll(async () => {
      await (await browser)?.close()
      browser = undefined
      await Promise.all(clusters.splice(0).map((cluster) => cluster.close()))
    })
    tests()
  })
}
/** The name of such a block says how to get one. */
export const needsChromium = (what: string): string =>
  executablePath === undefined
    ? `${what} (needs Chromium: install it, or set QUORATE_CHROMIUM to its path)`
    : what

/**
 * Pages of the browser itself for suggestions at its address bar: each new window would load two, which took more time
 * than the page under test.
 */
const OWN_PAGES = ['WebUIOmniboxPopup', 'WebUIOmniboxAimPopup']
/** Playwright disables these. Only the last list on the command line counts. */
const DISABLED_BY_PLAYWRIGHT = [
  ...['AimEnabled', 'AvoidUnnecessaryBeforeUnloadCheckSync', 'DestroyProfileOnBrowserClose', 'HttpsUpgrades'],
  ...['HttpsFirstBalancedModeAutoEnable', 'LensOverlay', 'MediaRouter', 'NetworkTimeServiceQuerying'],
  ...['OptimizationHints', 'PaintHolding', 'PreconnectToSearch', 'ThirdPartyStoragePartitioning'],
]

/** Chromium as root has no sandbox of its own, and the rest stops requests that it makes for itself. */
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
  `--disable-features=${[...DISABLED_BY_PLAYWRIGHT, ...OWN_PAGES].join()}`,
  // Names of other sites, which lead to this machine.
  '--host-resolver-rules=MAP *.example 127.0.0.1',
]

/** Types of resources that a document loads. */
const OWN_FILES: ReadonlySet<string> = new Set(['script', 'stylesheet', 'font'])

let browser: Promise<Browser> | undefined

export interface ConsoleOptions extends BrowserContextOptions {
  /** Origins that the page may ask, beside its own. */
  readonly otherOrigins?: readonly string[]
  /** Errors of the browser that the test expects. */
  readonly expected?: RegExp
}

/** Opens a page, and checks at the end of the test that it broke no rule. */
export async function openPage(url: string, options: ConsoleOptions = {}): Promise<Page> {
  const { otherOrigins = [], expected, ...contextOptions } = options
  browser ??= chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: FLAGS,
    // Other tests of the process send it signals.
    ...{ handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false },
  })
  const context = await (await browser).newContext({
    viewport: { width: 1280, height: 800 },
    ...contextOptions,
  })
  const page = await context.newPage()
  const faults: string[] = []
  const allowed = [new URL(url).origin, ...otherOrigins]
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`))
  page.on('console', (message) => {
    // A failed request has a line too. What the page makes of it is for the tests.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      faults.push(`console: ${message.text()}`)
  })
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url())
    if (protocol !== 'data:' && protocol !== 'blob:' && !allowed.includes(origin))
      faults.push(`request to ${request.url()}`)
  })
  onTestFinished(async () => {
    await context.close()
    expect(faults.filter((fault) => expected === undefined || !expected.test(fault))).toEqual([])
  })
  // Without one of its own files the page stays empty, or a part of it does.
  const isOwnFile = (request: Request): boolean => OWN_FILES.has(request.resourceType())
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText
    // The page has gone elsewhere.
    if (isOwnFile(request) && reason !== 'net::ERR_ABORTED') faults.push(`${request.url()}: ${reason}`)
  })
  page.on('response', (response) => {
    if (isOwnFile(response.request()) && response.status() >= 400)
      faults.push(`${response.url()}: status ${response.status()}`)
  })
  await page.goto(url)
  return page
}

/** The console of a node: `#/keys/a` and the like. */
export const consoleUrl = (node: { readonly url: string }, place = '#/overview'): string =>
  `${node.url}/ui/${place}`

/** Logs in with the dialog, which is open. */
export async function logIn(page: Page, user: string, password: string): Promise<void> {
  const dialog = page.getByRole('dialog', { name: 'Log in' })
  await dialog.getByRole('textbox', { name: 'User' }).fill(user)
  await dialog.getByRole('textbox', { name: 'Password' }).fill(password)
  await dialog.getByRole('button', { name: 'Log in' }).click()
}

const timing = { heartbeatMs: 40, electionMinMs: 200, electionMaxMs: 400 }

const clusters: EmbeddedCluster[] = []

/** A cluster in this process, until the block of `describeConsole` ends. */
export async function startConsoleCluster(
  options: Parameters<typeof startCluster>[0] = {},
): Promise<EmbeddedCluster> {
  const cluster = await startCluster({ nodes: 3, timing, ...options })
  clusters.push(cluster)
  return cluster
}

/** Violations of accessibility that are serious or critical, as axe-core finds them in the page as it is now. */
export async function findBarriers(page: Page): Promise<string[]> {
  // The policy of the page allows no script of ours, except through the debugger.
  await page.evaluate(axeCore.source)
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: AxeViolation[] }> } }
    interface AxeViolation {
      readonly id: string
      readonly impact: string
      readonly nodes: readonly { readonly html: string }[]
    }
    const { violations } = await axe.run()
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`))
  })
}
