// The frame around the pages: who is asked, whether all is well, and the way to each page.

import { signal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { useEffect } from 'preact/hooks'
import { firstError, history, keepReading, newest } from '../cluster/cluster-view.ts'
import {
  contact,
  describeError,
  isLoginOpen,
  leaderless,
  needsLogin,
  newestStale,
} from '../cluster/connection.ts'
import {
  canAsk,
  consoleHost,
  mayGoTo,
  placeAt,
  readConsoleHost,
  triedMember,
} from '../cluster/console-host.ts'
import { userName } from '../cluster/credentials.ts'
import { readStale, readsStale } from '../cluster/freshness.ts'
import { followSelf } from '../cluster/self.ts'
import { Button } from '../design/button.tsx'
import { SafeText } from '../design/bytes-text.tsx'
import { Notice } from '../design/notice.tsx'
import { formatCount, formatDuration } from '../design/numbers.ts'
import './app.css'
import { PageFrame } from '../design/page-frame.tsx'
import { route } from '../route.ts'
import { Login } from './login.tsx'
import { PageBoundary } from './page-boundary.tsx'
import { findPage } from './pages.ts'
import { Rail } from './rail.tsx'

/** Pages that were shown. */
const loaded = signal<ReadonlyMap<string, ComponentType>>(new Map())
/** Why it is not known which program serves this page. */
const hostError = signal<string | undefined>(undefined)
/** The page that could not be loaded last, and why. */
const loadFault = signal<{ readonly page: string; readonly reason: string } | undefined>(undefined)

export function App() {
  useEffect(() => {
    const reading = new AbortController()
    void begin(reading.signal)
    return () => reading.abort()
  }, [])
  const { page } = route.value
  const Page = loaded.value.get(page)
  useEffect(() => {
    if (Page === undefined) void load(page)
  }, [page, Page])
  return (
    <div class="app">
      <button type="button" class="skip" onClick={skipToMain}>
        Skip to the content
      </button>
      <Rail current={page} />
      <main id="main" class="app-main" tabIndex={-1}>
        <Contact />
        <LoginNotice />
        <Leaderless />
        {hostError.value !== undefined && (
          <Notice kind="problem">The console cannot begin yet: {hostError.value}.</Notice>
        )}
        {Page === undefined && loadFault.value?.page === page && (
          <LoadFault reason={loadFault.value.reason} />
        )}
        {firstError.value !== undefined && <Notice kind="problem">{firstError.value}</Notice>}
        {Page === undefined ? (
          findPage(page) === undefined && <UnknownPage />
        ) : (
          <PageBoundary place={route.value}>
            <Page key={userName.value} />
          </PageBoundary>
        )}
      </main>
      {isLoginOpen.value && <Login />}
    </div>
  )
}

/** The program that serves the page may be about to start, or to end. */
const BEGIN_AGAIN_MS = 2_000

async function begin(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await readConsoleHost()
      hostError.value = undefined
      void followSelf(signal)
      return await keepReading(signal)
    } catch (error) {
      hostError.value = describeError(error)
      await new Promise((resolve) => setTimeout(resolve, BEGIN_AGAIN_MS))
    }
  }
}

async function load(page: string): Promise<void> {
  const found = findPage(page)
  if (found === undefined) return
  try {
    const { Page } = await found.load()
    loaded.value = new Map(loaded.peek()).set(page, Page)
  } catch (error) {
    loadFault.value = { page, reason: describeError(error) }
  }
}

/** Offer to load everything anew: most browsers do not request a module again that has failed. */
function LoadFault({ reason }: { readonly reason: string }) {
  return (
    <Notice kind="problem">
      This page could not be loaded: {reason}.{' '}
      <Button onClick={() => location.reload()}>Load the console again</Button>
    </Notice>
  )
}

/** The fragment of the URL belongs to the route. */
function skipToMain(): void {
  document.getElementById('main')?.focus()
}

function Contact() {
  const { value } = contact
  if (value.state === 'open') return null
  const host = consoleHost.value
  const next = triedMember.value
  const others = host?.kind === 'node' ? host.members.filter(({ name }) => name !== host.node) : []
  const byHand = others.filter(({ url }) => mayGoTo(url) && !canAsk(url))
  return (
    <Notice kind="problem">
      {host?.kind === 'node' ? `${host.node} has not answered` : 'No node has answered'} for{' '}
      {formatDuration(Date.now() - value.since)}. What you see is of before.
      {next !== undefined && ` Looking for another member: ${next}.`}
      {byHand.length > 0 && ' The browser may not look for members with an IPv6 address. Go there yourself:'}
      {byHand.map(({ name, url }) => (
        <>
          {' '}
          <a key={name} href={placeAt(url)}>
            <SafeText text={name} />
          </a>
        </>
      ))}
    </Notice>
  )
}

/** While there is no leader, the keys as a node has them are better than none, if their age is said. */
function Leaderless() {
  if (!leaderless.value) return null
  const node = newest.value?.name ?? 'the node'
  if (!readsStale.value)
    return (
      <Notice kind="warning">
        There is no leader that {node} can reach, so what holds now cannot be read.{' '}
        <Button onClick={readStale}>Read what {node} has, however old</Button>
      </Notice>
    )
  const { value: stale } = newestStale
  // The time of the newest round of reads of the members: this is drawn with each of them.
  const now = history.value.at(-1)?.time ?? Date.now()
  return (
    <Notice kind="warning">
      There is no leader, and these are stale reads.{' '}
      {stale !== undefined &&
        `You see what ${stale.node} has applied${stale.revision === undefined ? '' : ` up to revision ${formatCount(stale.revision)}`}: ${
          stale.ageMs === undefined
            ? 'how old that is, it cannot prove'
            : `at most ${formatDuration(stale.ageMs + Math.max(0, now - stale.readAt))} old`
        }.`}{' '}
      When there is a leader again, everything is read anew.
    </Notice>
  )
}

function LoginNotice() {
  if (!needsLogin.value || isLoginOpen.value) return null
  const name = userName.value
  return (
    <Notice kind="warning">
      {name === undefined
        ? 'Rights are checked, and nobody is logged in. '
        : `The login of ${name} has ended. What you see is of before. `}
      <Button
        onClick={() => {
          isLoginOpen.value = true
        }}
      >
        {name === undefined ? 'Log in to go on' : 'Log in again'}
      </Button>
    </Notice>
  )
}

function UnknownPage() {
  return (
    <PageFrame title="There is no such page">
      <p>
        The link names a page that this console does not have. <a href="#/overview">Overview</a>
      </p>
    </PageFrame>
  )
}
