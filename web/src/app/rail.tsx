// The rail: the pages, the cluster and who is logged in.

import { useState } from 'preact/hooks'
import { newest } from '../cluster/cluster-view.ts'
import { isLoginOpen } from '../cluster/connection.ts'
import { consoleHost } from '../cluster/console-host.ts'
import { forgetUserToken, userName, userToken } from '../cluster/credentials.ts'
import { self } from '../cluster/self.ts'
import { Button } from '../design/button.tsx'
import { SafeText } from '../design/bytes-text.tsx'
import { Icon, type IconName } from './icon.tsx'
import './rail.css'
import { SelfDialog } from './self-dialog.tsx'
import { ThemeButton } from './theme.tsx'

interface PageLink {
  readonly page: string
  /** Pages to which this one leads, and which have no link of their own. */
  readonly under?: readonly string[]
  readonly text: string
  readonly icon: IconName
}

const LINKS: readonly PageLink[] = [
  { page: 'overview', text: 'Overview', icon: 'nodes' },
  { page: 'keys', text: 'Keys', icon: 'keys', under: ['transaction'] },
  { page: 'live', text: 'Live', icon: 'pulse' },
  { page: 'coordination', text: 'Coordination', icon: 'lock' },
  { page: 'operation', text: 'Operation', icon: 'sliders' },
]
/** Faults belong to a local cluster. */
const FAULTS: PageLink = { page: 'faults', text: 'Faults', icon: 'cut' }

export function Rail({ current }: { readonly current: string }) {
  const host = consoleHost.value
  const links = host?.kind === 'cluster' ? [...LINKS, FAULTS] : LINKS
  return (
    <header class="rail">
      <a class="rail-brand" href="#/overview">
        <Icon name="quorate" />
        quorate
      </a>
      <nav aria-label="Pages">
        <ul class="rail-links">
          {links.map(({ page, under, text, icon }) => (
            <li key={page}>
              <a
                href={`#/${page}`}
                {...(page === current
                  ? { 'aria-current': 'page' as const }
                  : under?.includes(current)
                    ? { 'aria-current': 'true' as const }
                    : undefined)}
              >
                <Icon name={icon} />
                {text}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="rail-foot">
        <ClusterLine />
        <Self />
        <User />
        <ThemeButton />
      </div>
    </header>
  )
}

function ClusterLine() {
  const host = consoleHost.value
  if (host === undefined) return null
  const id = newest.value?.clusterId
  return (
    <p class="rail-cluster" title={id === undefined ? undefined : `Cluster ${id}`}>
      <SafeText text={host.kind === 'node' ? `From ${host.node}` : 'Local cluster'} />
      <br />
      <SafeText text={`quorate ${host.version}`} />
    </p>
  )
}

const CREDENTIALS = { certificate: 'certificate', token: 'login', password: 'password' } as const

/** Under whose name a click is made. What this user may do stands behind it. */
function Self() {
  const [isOpen, setOpen] = useState(false)
  const { value } = self
  if (value?.user === undefined) return null
  const by = value.credential === undefined ? '' : `, by ${CREDENTIALS[value.credential]}`
  return (
    <>
      <Button kind="quiet" onClick={() => setOpen(true)} title="What this user may do">
        <SafeText text={`${value.user}${by}`} max={60} />
      </Button>
      {isOpen && <SelfDialog of={value} onClose={() => setOpen(false)} />}
    </>
  )
}

function User() {
  const name = userName.value
  if (userToken.value === undefined || name === undefined)
    return (
      <Button
        kind="quiet"
        onClick={() => {
          isLoginOpen.value = true
        }}
      >
        <Icon name="user" /> Log in
      </Button>
    )
  return (
    <Button kind="quiet" onClick={logOut} title={`Logged in as ${name}`}>
      <Icon name="user" /> Log out {name}
    </Button>
  )
}

/** Nothing that the user has read stays in the page. */
function logOut(): void {
  forgetUserToken()
  location.reload()
}
