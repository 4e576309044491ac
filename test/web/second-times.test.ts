// Second times: a page does again what it did at the first event of a kind.

import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { answer, problem, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'
import { type Screen, show } from './tiny-document.ts'

const node = stubPage()
let newest: { value: object | undefined }
beforeAll(async () => {
  ;({ newest } = await load<{ newest: typeof newest }>('cluster/cluster-view.ts'))
})
beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  newest.value = undefined
  vi.useRealTimers()
})

test('a page learns of each revision, however many there are, and at most every two seconds', async () => {
  const { useRevision } = await load<{ useRevision: () => number }>('cluster/use-revision.ts')
  const seen: number[] = []
  const Reader = (): null => {
    seen.push(useRevision())
    return null
  }
  newest.value = { revision: 1 }
  const screen = await show(Reader, {})
  for (let revision = 2; revision <= 40; revision++) {
    newest.value = { revision }
    await vi.advanceTimersByTimeAsync(500)
  }
  await vi.advanceTimersByTimeAsync(5_000)
  expect(seen.at(-1)).toBe(40)
  expect(new Set(seen).size).toBeGreaterThan(5)
  expect(new Set(seen).size).toBeLessThan(20)
  await screen.leave()
  expect(vi.getTimerCount()).toBe(0)
})

test('a setting that others change while its dialog is open: each time both values are shown, and then it is changed', async () => {
  const { SettingChange } = await load<{ SettingChange: unknown }>('pages/operation/setting-change.tsx')
  let stored = 2_000
  const written: string[] = []
  node.serve = ({ method, body }) => {
    if (method !== 'GET') written.push(body)
    return answer({ range_keys_max: stored, revision: 4 })
  }
  const field = {
    name: 'range_keys_max',
    value: 1_000,
    unit: 'count',
    rule: { description: 'd', minimum: 1, maximum: 9_999 },
  }
  const done: string[] = []
  const screen = await show(SettingChange, {
    ...{ field, value: 1_000, onClose: () => {}, onConflict: () => {} },
    onDone: (text: string) => done.push(text),
  })
  await screen.type('input', '5,000')
  for (const theirs of [2_000, 3_000]) {
    stored = theirs
    await screen.submit()
    expect(screen.text()).toContain(`somebody else has set it to ${theirs.toLocaleString('en')}`)
    expect(written).toEqual([])
  }
  await screen.submit()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(written).toHaveLength(1)
  expect(done).toEqual(['range_keys_max is 5,000 now.'])
  await screen.leave()
})

/** The edit of a key, over which others write again while the user looks at their version. */
test('mine is written over the version that was shown, and over no later one', async () => {
  const { ValueEditor } = await load<{ ValueEditor: unknown }>('pages/keys/value-editor.tsx')
  let [value, revision] = ['seen', 5]
  const record = () => ({ key: 'k', value, version: 2, create_revision: 4, mod_revision: revision })
  node.serve = ({ method, headers, body }) => {
    if (method === 'GET') return answer(record())
    if (headers['If-Match'] !== `"${revision}"`) return problem('precondition_failed', 412, { current: null })
    value = body
    return answer({ revision: ++revision, create_revision: 4, mod_revision: revision, version: 3 })
  }
  const others = (next: string): void => {
    value = next
    revision++
  }
  const row = {
    key: encodeUtf8('k'),
    value: encodeUtf8(value),
    version: 2,
    createRevision: 4,
    modRevision: 5,
  }
  const screen: Screen = await show(ValueEditor, {
    ...{
      target: encodeUtf8('k'),
      record: { ...row, lease: undefined },
      onClose: () => {},
      onWritten: () => {},
    },
  })
  await screen.type('textarea', 'mine')
  others('first')
  await screen.submit()
  expect(screen.text()).toContain('first')
  for (const theirs of ['second', 'third']) {
    others(theirs)
    await screen.click('Write mine over it')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(value).toBe(theirs)
    expect(screen.text()).toContain(theirs)
  }
  await screen.click('Write mine over it')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(value).toBe('mine')
  await screen.leave()
})

test('what a tab keeps of a user is not there for the next one, whoever comes in between', async () => {
  const credentials = await load<{
    keepUserToken(name: string, token: string): void
    renewUserToken(token: string): void
    dropUserToken(token: string): void
    forgetUserToken(): void
  }>('cluster/credentials.ts')
  const kept = () => sessionStorage.getItem('of the user')
  for (const user of ['ann', 'bob', 'ann']) {
    credentials.keepUserToken(user, 'token')
    expect(kept()).toBeNull()
    sessionStorage.setItem('of the user', user)
    // A renewal, and an ended login of the same user, leave it.
    credentials.renewUserToken('next')
    credentials.dropUserToken('next')
    credentials.keepUserToken(user, 'token')
    expect(kept()).toBe(user)
  }
  credentials.forgetUserToken()
  expect(kept()).toBeNull()
})
