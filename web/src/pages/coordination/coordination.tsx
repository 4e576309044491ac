// Things that programs share through the recipes: locks, elections, queues, services and sagas, and their leases.

import { PageFrame } from '../../design/page-frame.tsx'
import { Tabs } from '../../design/tabs.tsx'
import { route } from '../../route.ts'
import { ClientQueueDetail, ClientQueueList } from './client-queues.tsx'
import './coordination.css'
import { LeaseDetail, LeaseList } from './leases.tsx'
import { useClock } from './leases-known.ts'
import { type CoordinationPlace, type CoordinationTab, placeHref, readPlace, TABS } from './place.ts'
import { QueueDetail, QueueList } from './queues.tsx'
import { SagaDetail, SagaList } from './sagas.tsx'
import { ServiceDetail, ServiceList } from './services.tsx'

const NAMES: Readonly<Record<CoordinationTab, string>> = {
  locks: 'Locks',
  elections: 'Elections',
  semaphores: 'Semaphores',
  queues: 'Queues',
  services: 'Services',
  leases: 'Leases',
  sagas: 'Sagas',
}

export function Page() {
  const place = readPlace(route.value)
  useClock()
  return (
    <PageFrame title="Coordination">
      <Tabs
        label="Kinds of coordination"
        current={place.tab}
        tabs={TABS.map((tab) => ({ name: tab, text: NAMES[tab], href: placeHref({ tab, name: undefined }) }))}
      />
      <section key={placeHref(place)} class="coordination" aria-label={NAMES[place.tab]}>
        <Tab place={place} />
      </section>
    </PageFrame>
  )
}

function Tab({ place }: { readonly place: CoordinationPlace }) {
  const { tab, name } = place
  switch (tab) {
    case 'locks':
    case 'elections':
    case 'semaphores':
      return name === undefined ? (
        <ClientQueueList place={place} tab={tab} />
      ) : (
        <ClientQueueDetail place={place} tab={tab} name={name} />
      )
    case 'queues':
      return name === undefined ? <QueueList place={place} /> : <QueueDetail place={place} name={name} />
    case 'services':
      return name === undefined ? <ServiceList place={place} /> : <ServiceDetail place={place} name={name} />
    case 'sagas':
      return name === undefined ? <SagaList place={place} /> : <SagaDetail place={place} name={name} />
    case 'leases':
      return name === undefined ? <LeaseList place={place} /> : <LeaseDetail place={place} name={name} />
  }
}
