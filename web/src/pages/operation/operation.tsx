// The page of operation: members, settings, users and roles, backups, history.

import type { ComponentType } from 'preact'
import { needsLogin } from '../../cluster/connection.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { SafeText } from '../../design/bytes-text.tsx'
import { Notice } from '../../design/notice.tsx'
import { PageFrame } from '../../design/page-frame.tsx'
import { Tabs } from '../../design/tabs.tsx'
import { href, route } from '../../route.ts'
import { readAdminRefusal, type TabProps } from './admin-right.ts'
import { BackupsTab } from './backups-tab.tsx'
import { HistoryTab } from './history-tab.tsx'
import { MembersTab } from './members-tab.tsx'
import './operation.css'
import { SettingsTab } from './settings-tab.tsx'
import { UsersTab } from './users-tab.tsx'

interface Tab {
  readonly name: string
  readonly text: string
  readonly Content: ComponentType<TabProps>
}

const MEMBERS: Tab = { name: 'members', text: 'Members', Content: MembersTab }
const USERS: Tab = { name: 'users', text: 'Users and roles', Content: UsersTab }
const TABS: readonly Tab[] = [
  MEMBERS,
  { name: 'settings', text: 'Settings', Content: SettingsTab },
  USERS,
  { name: 'backups', text: 'Backups', Content: BackupsTab },
  { name: 'history', text: 'History', Content: HistoryTab },
]

export function Page() {
  const { rest } = route.value
  const { name, Content } = TABS.find((tab) => tab.name === rest) ?? MEMBERS
  const refusal = useRequest(readAdminRefusal, [name]).data
  return (
    <PageFrame title="Operation">
      <Tabs
        label="Operation"
        tabs={TABS.map((tab) => ({ name: tab.name, text: tab.text, href: href('operation', tab.name) }))}
        current={name}
      />
      {refusal !== undefined && name !== USERS.name && !needsLogin.value && (
        <Notice kind="note">
          You may look, and change nothing here: <SafeText text={refusal} />.
        </Notice>
      )}
      <Content key={name} mayChange={refusal === undefined} />
    </PageFrame>
  )
}
