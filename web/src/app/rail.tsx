// The rail: the pages, the cluster and who is logged in.

import { useState } from 'preact/hooks'
import { newest } from '../cluster/cluster-view.ts'
import { isLoginOpen } from '../cluster/connection.ts'
import { consoleHost } from '../cluster/console-host.ts'
import { forgetUserToken, userName, userToken } from '../cluster/credentials.ts'
import { self } from '../cluster/self.ts'
import { Button } from '../design/button.tsx'
import { SafeText } from '../design/bytes-text.tsx'
import { Icon } from '../design/icon.tsx'
import { findPage, linkedPages } from './pages.ts'
import './rail.css'
import { ThemeButton } from '../design/theme.tsx'
import { SelfDialog } from './self-dialog.tsx'

export function Rail({ current }: { readonly current: string }) {
  const page = findPage(current)
  const leading = page !== undefined && 'under' in page ? page.under : undefined
  return (
    <header class="rail">
      <a class="rail-brand" href="#/overview">
        <Icon name="quorate" />
        quorate
      </a>
      <nav aria-label="Pages">
        <ul class="rail-links">
          {linkedPages(consoleHost.value?.kind === 'cluster').map(([name, { text, icon }]) => (
            <li key={name}>
              <a
                href={`#/${name}`}
                {...(name === current
                  ? { 'aria-current': 'page' as const }
                  : name === leading
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
