// The page of operation: members, settings, users and roles, backups, history.

import type { ComponentType } from 'preact'
import { PageFrame } from '../../app/page-frame.tsx'
import { href, route } from '../../app/route.ts'
import { Tabs } from '../../design/tabs.tsx'
import { BackupsTab } from './backups-tab.tsx'
import { HistoryTab } from './history-tab.tsx'
import { MembersTab } from './members-tab.tsx'
import './operation.css'
import { SettingsTab } from './settings-tab.tsx'
import { UsersTab } from './users-tab.tsx'

interface Tab {
  readonly name: string
  readonly text: string
  readonly Content: ComponentType
}

const MEMBERS: Tab = { name: 'members', text: 'Members', Content: MembersTab }
const TABS: readonly Tab[] = [
  MEMBERS,
  { name: 'settings', text: 'Settings', Content: SettingsTab },
  { name: 'users', text: 'Users and roles', Content: UsersTab },
  { name: 'backups', text: 'Backups', Content: BackupsTab },
  { name: 'history', text: 'History', Content: HistoryTab },
]

export function Page() {
  const { rest } = route.value
  const { name, Content } = TABS.find((tab) => tab.name === rest) ?? MEMBERS
  return (
    <PageFrame title="Operation">
      <Tabs
        label="Operation"
        tabs={TABS.map((tab) => ({ name: tab.name, text: tab.text, href: href('operation', tab.name) }))}
        current={name}
      />
      <Content key={name} />
    </PageFrame>
  )
}
