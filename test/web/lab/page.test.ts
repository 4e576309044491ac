// The whole page of the lab, without a browser: keys, lines through the ring, files, lessons, and a second run.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { labSchedule } from '../../../jepsen-lite/lab/index.ts'
import { TinyNode } from '../tiny-document.ts'
import { Browser, type LabPage } from './lab-page.ts'

const browser = new Browser()
let page: LabPage

const AT = '#seed=7,at=4060'
const text = (): string => page.screen.text()

describe('a key', () => {
  const KEYS: Readonly<Record<string, string>> = {
    Space: ' ',
    '→': 'ArrowRight',
    '←': 'ArrowLeft',
    Esc: 'Escape',
  }
  beforeEach(async () => {
    page = await browser.load(AT)
  })

  it('of the list is used, and left to the browser, to a dialog, to a field, and to an element that used it', async () => {
    await page.type('?')
    const shown = page.screen.all('kbd').map(({ textContent }) => textContent)
    page.screen.all('dialog')[0]?.close()
    await page.settle()
    const keys = shown.filter((key) => !key.startsWith('Shift')).map((key) => KEYS[key] ?? key)
    expect(keys).toHaveLength(13)
    const before = [text(), browser.hash]
    const left = [
      ...[{ ctrlKey: true }, { metaKey: true }, { altKey: true }, { defaultPrevented: true }],
      ...['dialog', 'textarea', 'select', 'input'].map((name) => ({ target: new TinyNode(name) })),
    ]
    for (const key of keys)
      for (const more of left) {
        expect([key, more, page.press(key, more)]).toEqual([key, more, false])
        expect(page.requests).toEqual([])
      }
    await page.settle()
    expect([text(), browser.hash]).toEqual(before)
    for (const key of keys) expect([key, page.press(key)]).toEqual([key, true])
  })

  it('requests what it says', async () => {
    const expected = [
      ['ArrowRight', { kind: 'step' }],
      ['d', { kind: 'skip' }],
      ['ArrowLeft', { kind: 'run', ms: 3960 }],
      ['w', { kind: 'add', lines: ['put,client=0,node=leader,key=0,x=41'] }],
      [
        'c',
        { kind: 'add', lines: ['isolate,target=leader,ms=5000,stalls=false,refuses=false,breaks=false'] },
      ],
    ] as const
    for (const [key, request] of expected) {
      page.press(key)
      expect(page.requests).toEqual([request])
      await page.settle()
      await page.visit(AT)
    }
    for (const key of ['h', 'n', 'b', 'p', '?', 'Escape', ' ']) page.press(key)
    expect(page.requests).toEqual([])
  })

  it('plays and pauses, each time', async () => {
    for (const name of ['Pause', 'Play', 'Pause', 'Play']) {
      page.press(' ')
      await page.pass(200)
      page.find(name)
    }
  })

  it('heals the newest fault, and the older ones after it', async () => {
    const faults = [
      '4000:pause,target=0,ms=5000',
      '4010:slow-disk,target=1,factor=30,ms=5000',
      '4020:deaf,target=2,direction=in,ms=5000,stalls=false,refuses=false,breaks=false',
    ]
    await page.visit(`#seed=7,at=4100;${faults.join(';')}`)
    await page.type('h', 'h', 'h', 'h')
    expect(browser.hash.match(/heal,[^;]*/g)).toEqual([
      'heal,fault=deaf,target=2',
      'heal,fault=slow-disk,target=1',
      'heal,fault=pause,target=0',
    ])
  })
})

it('a node that was removed while it was away is no member, and no other is removed in its place', async () => {
  const lines = [
    '4000:isolate,target=4,ms=60000,stalls=false,refuses=false,breaks=false',
    '6000:remove,asked=leader,member=4,evenSmall=true',
  ]
  page = await browser.load(`#seed=7,at=8000;${lines.join(';')}`)
  page.find(/^n5 /).fire('click')
  await page.settle()
  for (const name of ['Remove from the cluster', 'Replace by n6'])
    expect([name, page.find(name).attributes.get('title')]).toEqual([name, 'n5 is no member'])
  await expect(page.click('Remove from the cluster')).rejects.toThrow('disabled')
})

describe('a side of a partition', () => {
  beforeEach(async () => {
    page = await browser.load(AT)
  })
  const choose = async (name: RegExp): Promise<void> => {
    page.find(name).fire('keydown', { key: 'Enter', shiftKey: true })
    await page.settle()
  }

  it('is forgotten with all that ends the choice, and when it has been cut off', async () => {
    for (const forget of [
      () => page.type('Escape'),
      () => page.click('Close'),
      () => page.click('Partition'),
      async () => page.find(/^heartbeat, /).fire('pointerdown'),
      () => page.click('Cut these off from the others'),
    ]) {
      await choose(/^n4 /)
      expect(text()).toContain('n4 on one side')
      await forget()
      await page.type('p')
      expect(text()).toContain('choose the nodes of one side')
      expect(text()).not.toContain('on one side,')
      await page.type('Escape')
    }
    expect(browser.hash.match(/partition/g)).toHaveLength(1)
  })

  const pointer = (type: string, x: number, y: number, more: object = {}): void => {
    const stage = page.screen
      .all('svg')
      .find(({ attributes }) => attributes.get('aria-label') === 'The cluster')
    const event = { clientX: x, clientY: y, pointerId: 1, button: 0, isPrimary: true, ...more }
    ;(stage ?? expect.fail('there is no stage')).fire(type, event)
  }
  const lines = (): number =>
    page.screen.all('path').filter(({ attributes }) => attributes.get('class') === 'stage-line').length

  it('is drawn by a line that divides the nodes, and no other gesture leaves anything', async () => {
    const gestures: readonly (readonly (readonly [string, number, number, object?])[])[] = [
      [['pointerup', 250, 200]],
      [['pointermove', 250, 200]],
      // Too short.
      [
        ['pointermove', 250, 150],
        ['pointerup', 250, 150],
      ],
      // Beside the ring.
      [
        ['pointermove', 2, 500],
        ['pointerup', 2, 500],
      ],
      [
        ['pointermove', 250, 500],
        ['pointercancel', 250, 500],
      ],
      // Another finger.
      [
        ['pointermove', 250, 500, { pointerId: 2 }],
        ['pointerup', 250, 500, { pointerId: 2 }],
        ['pointerup', 240, 100],
      ],
    ]
    for (const gesture of gestures) {
      const beside = gesture[0]?.[1] === 2
      if (gesture[0]?.[0] !== 'pointermove' || gesture.length > 1)
        pointer('pointerdown', beside ? 2 : 250, 100)
      for (const event of gesture) pointer(...event)
      pointer('pointermove', 400, 400)
      await page.settle()
      expect([gesture, lines(), text().includes('Cut these off')]).toEqual([gesture, 0, false])
    }
    expect(browser.hash).toBe(AT)
    for (const type of ['pointerdown', 'pointermove', 'pointerup'])
      pointer(type, 250, type === 'pointerdown' ? 10 : 500)
    await page.settle()
    expect([lines(), browser.hash]).toEqual([0, expect.stringContaining('4061:partition,side=(1+2),ms=3000')])
  })
})

describe('a run that is opened', () => {
  const OTHER = '#seed=8,at=2000;1900:put,client=0,node=leader,key=0,x=41'
  const file = (schedule: string, name: string): Promise<void> => page.choose('File of a run', name, schedule)

  it('after another is shown as on a page that has just been loaded', async () => {
    page = await browser.load(OTHER)
    const fresh = text()
    page = await browser.load(AT)
    const rule = join(import.meta.dirname, '../../../docs/learn/lessons/runs/read-without-round.txt')
    const acts: readonly (() => unknown)[] = [
      () => page.type('w', 'c'),
      () => page.type('w', 'ArrowLeft', 'ArrowLeft', 'c'),
      () => page.type('p'),
      () => page.find(/^n4 /).fire('keydown', { key: 'Enter', shiftKey: true }),
      () => page.find(/^n4 /).fire('click'),
      () => page.find(/^heartbeat, /).fire('pointerdown'),
      () => page.click('Check'),
      () => page.visit('#seed=1;12:putt'),
      () => file('no run', 'none.txt'),
      () => file(readFileSync(rule, 'utf8'), 'rule.txt'),
      () => file(JSON.stringify({ detail: 'READ-1: k0', schedule: labSchedule(9) }), 'kept.json'),
      () => page.press(' ') && page.pass(300),
    ]
    for (const [number, act] of acts.entries()) {
      await page.visit(AT)
      await act()
      await page.visit(OTHER)
      expect([number, text()]).toEqual([number, fresh])
    }
  })

  it('is saved, and the same file is opened as often as it is chosen', async () => {
    page = await browser.load(OTHER)
    await page.type('ArrowLeft')
    const shown = text()
    await page.click('Save')
    const [saved] = browser.saved
    for (let time = 0; time < 3; time++) {
      await page.visit(AT)
      expect(text()).not.toBe(shown)
      await file((await saved?.text()) ?? '', 'run.json')
      expect([time, text()]).toEqual([time, shown])
    }
  })

  it('from a file that is too large or has none is refused, and the present run stays', async () => {
    page = await browser.load(AT)
    await file('no run', 'none.txt')
    expect(text()).toContain('The file has no run that can be opened')
    await file(' '.repeat(4 * 1024 * 1024 + 1), 'large.txt')
    expect(text()).toContain('4194305 bytes, and 4 MiB are allowed')
    expect(browser.hash).toBe(AT)
  })

  it('that is a folder is refused', async () => {
    page = await browser.load(AT)
    const folder = { size: 4096, text: () => Promise.reject(new Error('not found')) }
    page.fire('drop', { preventDefault: () => {}, dataTransfer: { types: ['Files'], files: [folder] } })
    await page.settle()
    expect(text()).toContain('it is a folder, or is not there any more')
  })

  it('may be dropped on the page, which says so while the file is held over it', async () => {
    page = await browser.load(AT)
    const hold = (type: string, more: object = {}): void =>
      page.fire(type, { preventDefault: () => {}, dataTransfer: { types: ['Files'], files: [] }, ...more })
    const isHeld = async (): Promise<boolean> => {
      await page.settle()
      return text().includes('Drop the file')
    }
    hold('dragover')
    expect(await isHeld()).toBe(true)
    hold('dragleave', { relatedTarget: page.body })
    expect(await isHeld()).toBe(true)
    hold('dragleave', { relatedTarget: null })
    expect(await isHeld()).toBe(false)
    hold('dragover', { dataTransfer: { types: ['text/plain'] } })
    expect(await isHeld()).toBe(false)
    hold('dragover')
    hold('drop', { dataTransfer: { types: ['Files'], files: [new File(['seed=9,at=1000'], 'run.txt')] } })
    await vi.advanceTimersByTimeAsync(0)
    expect([await isHeld(), browser.hash]).toEqual([false, '#seed=9,at=1000'])
  })
})

describe('the page', () => {
  const items = (list: string): string[] =>
    [
      ...(page.screen
        .all('ol')
        .find(({ attributes }) => [attributes.get('aria-label'), attributes.get('class')].includes(list))
        ?.descend() ?? []),
    ]
      .filter(({ localName }) => localName === 'li')
      .map(({ textContent }) => textContent)

  it('lists the newest first, also when there are more than it lists', async () => {
    const lines = Array.from(
      { length: 12 },
      (_, at) => `${3000 + at * 200}:put,client=0,node=leader,key=0,x=41`,
    )
    page = await browser.load(`#seed=7,at=5500;${lines.join(';')}`)
    const { notes, operations } = page.answers.lab.view()
    const [note, operation] = [notes.at(-1), operations.at(-1)]
    expect(items('What happened, the newest first')[0]).toContain(note?.text)
    const requests = items('client-requests')
    expect(requests).toHaveLength(8)
    expect(requests[0]).toContain(operation?.text)
    expect(operations.filter(({ text }) => requests.some((request) => request.includes(text)))).toEqual(
      operations.slice(-8),
    )
    for (const fold of ['Space and time', 'As a list']) {
      const details = page.screen.all('details').find(({ textContent }) => textContent.startsWith(fold))
      if (details === undefined) expect.fail(`there is no ${fold}`)
      details.open = true
      details.fire('toggle')
      await page.settle()
    }
    await page.click('Show more time')
    await page.click('Show more time')
    const listed = items('Messages and events, the newest first').map(
      (item) => /\d+\.\d{3} s/.exec(item)?.[0],
    )
    expect(listed).toHaveLength(60)
    expect(Number.parseFloat(listed[0] ?? '')).toBeGreaterThan(5)
    expect(listed).toEqual(listed.toSorted().toReversed())
  })

  it('copies the address of the run that was checked', async () => {
    page = await browser.load('#seed=7,at=4500;4000:put,client=0,node=leader,key=0,x=41')
    await page.click('Check')
    const copied: string[] = []
    vi.stubGlobal('navigator', { clipboard: { writeText: async (one: string) => void copied.push(one) } })
    await page.click('Copy the address of the checked run')
    page.screen.all('dialog')[0]?.close()
    await page.settle()
    await page.visit(`#${copied[0]?.split('#')[1]}`)
    expect(text()).not.toContain('names no run')
    expect(copied[0]).toContain('ms=')
  })

  it('begins a cluster of each size', async () => {
    page = await browser.load(AT)
    for (let size = 1; size <= 7; size++) {
      await page.click('New run')
      await page.screen.fill('Nodes', String(size))
      await page.click('Begin')
      expect(text()).not.toContain('names no run')
      expect(browser.hash).toContain(size === 5 ? '#seed=' : `,nodes=${size}`)
    }
  })

  it('names the fault of a link that is cut one way, and heals it', async () => {
    const cut = 'ms=5000,stalls=false,refuses=false,breaks=false'
    for (const fault of [`deaf,target=1,direction=in,${cut}`, `one-way,from=2,to=3,${cut}`]) {
      page = await browser.load(`#seed=7,at=4100;4000:${fault}`)
      const marks = page.screen
        .all('g')
        .filter(({ attributes }) => attributes.get('class') === 'stage-cut-link')
      expect(marks.length).toBeGreaterThan(0)
      marks[0]?.fire('click')
      await page.settle()
      expect(text()).toContain('until 9.00 s')
      expect(text()).not.toContain('No fault cuts this link now')
      await page.click('Heal')
      expect(text()).toContain('No fault cuts this link now')
    }
  })

  it('leads from each message to the next, and from the last to the first', async () => {
    page = await browser.load(AT)
    const count = page.answers.lab.view().messages.length
    page.find(/^heartbeat, /).fire('pointerdown')
    await page.settle()
    const seen = new Set<string>()
    for (let time = 0; time < count; time++) {
      seen.add(/A messageClose(.*?)\./.exec(text())?.[1] ?? '')
      await page.click('Next message')
    }
    expect(seen.size).toBe(count)
    expect(seen).toContain(/A messageClose(.*?)\./.exec(text())?.[1])
  })
})

it('draws no standstill of a client that is over before the time that is shown', async () => {
  const still = (): number =>
    page.screen.all('g').filter(({ attributes }) => attributes.get('class') === 'lane-still').length
  page = await browser.load('#seed=7,at=4500;4000:stand-still,client=0,node=leader,key=0,x=1000')
  expect(still()).toBe(1)
  await page.visit('#seed=7,at=6000;4000:stand-still,client=0,node=leader,key=0,x=1000')
  expect(still()).toBe(0)
})

describe('a lesson', () => {
  const see = (from: number, until: number) => ({ kind: 'see', from, until, text: `Until ${until}.` })
  const TEXT = JSON.stringify({
    ...{ title: 'Three views', summary: 'Look.', minutes: 1, run: 'seed=1' },
    steps: [see(300, 400), see(400, 500), see(500, 600)],
  })

  it('is gone through with two keys, forth and back, each time that it is opened', async () => {
    page = await browser.load(AT)
    for (let time = 0; time < 2; time++) {
      await page.type('l')
      await page.choose('File of a lesson', 'three.json', TEXT)
      const seen: (string | undefined)[] = []
      for (const key of ['n', 'n', 'b', 'b', 'b', 'n', 'n']) {
        await page.type(key)
        seen.push(/Step \d/.exec(text())?.[0])
      }
      expect(seen.map((step) => step?.slice(-1)).join('')).toBe('2321123')
      await page.type('n')
      expect(text()).toContain('Open a lesson from a file')
      expect(text()).not.toContain('Three views')
      page.screen.all('dialog')[0]?.close()
      await page.settle()
      await page.type('n', 'b')
      expect(text()).not.toContain('Open a lesson from a file')
    }
  })

  it('hides what its run does later, and says what an action forgets once the run is the user’s', async () => {
    page = await browser.load(AT)
    await page.type('l')
    await page.choose(
      'File of a lesson',
      'late.json',
      JSON.stringify({
        ...JSON.parse(TEXT),
        run: 'seed=1;4000:pause,target=0,ms=500',
        steps: [see(3000, 3100)],
      }),
    )
    expect(text()).not.toContain('replaces what came later')
    expect(text()).not.toContain('Cut off the leader')
    page.find(/^n4 /).fire('click')
    await page.settle()
    expect(text()).toContain('A client asks n4')
    expect(text()).not.toContain('Undo')
    await page.type('w')
    expect(text()).toContain('Undo the write')
    await page.type('ArrowLeft')
    expect(text()).toContain('replaces what came later: 1 action')
  })

  it('does not say which side is a majority while it asks', async () => {
    page = await browser.load(AT)
    await page.type('l')
    const asks = {
      ...{ kind: 'predict', question: 'Who leads?', from: 300, until: 320 },
      choices: [
        { text: 'Nobody.', when: ['leader = none'], reply: 'Yes.' },
        { text: 'Node 1.', when: ['leader = n1'], reply: 'No.' },
      ],
    }
    await page.choose(
      'File of a lesson',
      'sides.json',
      JSON.stringify({
        ...JSON.parse(TEXT),
        run: `seed=1;100:partition,side=(0+1),ms=5000,stalls=false,refuses=false,breaks=false`,
        steps: [asks],
      }),
    )
    expect(text()).toContain('Who leads?')
    expect(text()).not.toContain('majority')
    page.screen
      .all('input')
      .find(({ attributes }) => attributes.get('type') === 'radio')
      ?.fire('change')
    await page.settle()
    page.screen.all('form')[0]?.fire('submit')
    await page.settle()
    expect(text()).toContain('3 of 5: a majority')
    await page.click('Ask me again')
    expect(text()).not.toContain('majority')
    await page.click('Continue on your own')
    expect(text()).toContain('3 of 5: a majority')
    await page.click('Return to the lesson')
    expect(text()).not.toContain('majority')
    await page.click('Close')
    expect(text()).toContain('3 of 5: a majority')
  })

  it('that does not exist is said, beside a cluster that runs', async () => {
    page = await browser.load('#lesson=nothing,step=1')
    await page.settle()
    expect(text()).toContain('there is no lesson nothing')
    expect(text()).toContain('n1 follower')
  })
})
