// The frame around the pages: who is asked, whether all is well, and the way to each page.

import { signal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { useEffect } from 'preact/hooks'
import { firstError, keepReading } from '../cluster/cluster-view.ts'
import { contact, describeError, isLoginOpen, needsLogin } from '../cluster/connection.ts'
import { canAsk, consoleHost, lookingAt, mayGoTo, placeAt, readConsoleHost } from '../cluster/console-host.ts'
import { userName } from '../cluster/credentials.ts'
import { Button } from '../design/button.tsx'
import { SafeText } from '../design/bytes-text.tsx'
import { Notice } from '../design/notice.tsx'
import { formatDuration } from '../design/numbers.ts'
import './app.css'
import { Login } from './login.tsx'
import { PageBoundary } from './page-boundary.tsx'
import { PageFrame } from './page-frame.tsx'
import { Rail } from './rail.tsx'
import { route } from './route.ts'

/** Modules of the pages. Each is loaded when it is first shown. */
const PAGES: Readonly<Record<string, () => Promise<{ readonly Page: ComponentType }>>> = {
  overview: () => import('../pages/overview/overview.tsx'),
  keys: () => import('../pages/keys/keys.tsx'),
  live: () => import('../pages/live/live.tsx'),
  transaction: () => import('../pages/transaction/transaction.tsx'),
  coordination: () => import('../pages/coordination/coordination.tsx'),
  faults: () => import('../pages/faults/faults.tsx'),
  operation: () => import('../pages/operation/operation.tsx'),
}

const loaded = signal<Readonly<Record<string, ComponentType>>>({})
const startError = signal<string | undefined>(undefined)

export function App() {
  useEffect(() => {
    const reading = new AbortController()
    readConsoleHost().then(
      () => void keepReading(reading.signal),
      (error: unknown) => {
        startError.value = describeError(error)
      },
    )
    return () => reading.abort()
  }, [])
  const { page } = route.value
  const Page = Object.hasOwn(PAGES, page) ? loaded.value[page] : undefined
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
        {startError.value !== undefined && <Notice kind="problem">{startError.value}</Notice>}
        {firstError.value !== undefined && <Notice kind="problem">{firstError.value}</Notice>}
        {Page === undefined ? (
          Object.hasOwn(PAGES, page) ? null : (
            <UnknownPage />
          )
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

async function load(page: string): Promise<void> {
  const load = Object.hasOwn(PAGES, page) ? PAGES[page] : undefined
  if (load === undefined) return
  try {
    const { Page } = await load()
    loaded.value = { ...loaded.peek(), [page]: Page }
  } catch (error) {
    startError.value = `A part of the console could not be loaded: ${describeError(error)}`
  }
}

/** The fragment of the URL belongs to the route. */
function skipToMain(): void {
  document.getElementById('main')?.focus()
}

function Contact() {
  const { value } = contact
  if (value.state === 'open') return null
  const host = consoleHost.value
  const next = lookingAt.value
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
