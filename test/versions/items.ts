// Messages of a client on a multiplexed connection, with every kind of item.

export const ITEMS: readonly (readonly (readonly unknown[])[])[] = [
  [[1, 1, null, 'a', '1']],
  [[2, 1, null, 'a', '2', ['token'], { if_match: '*' }]],
  [[3, 2, null, 'none']],
  [[4, 3, null, 'a']],
  [[5, 4, null, { prefix: 'a', count: true }]],
  [[6, 5, null]],
  [
    [
      7,
      6,
      null,
      [
        [1, 'b', '1'],
        [2, 'b'],
      ],
      [1, 0, 1],
    ],
  ],
  [
    [8, 11, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', ''],
    [8, 7, null, { success: [{ put: { key: 'c', value: 'x' } }] }],
  ],
  [[9, 8, null, { prefix: 'c' }]],
  [[10, 9, null, 2]],
  [[11, 10, null, ['7']]],
  [[12, 16, null, { prefix: 'a' }]],
  [[13, 1, null, 'a', '3']],
  [
    [12, 0],
    [14, 3, null, 'a'],
  ],
  [[15, 1, null, '', 'x']],
]
