import { describe, expect, it } from 'vitest'
import { isQuiet, parseQuietHours } from '../../../machines/duty/quiet-hours.ts'

const at = (hour: number, minute = 0): number => hour * 60 + minute
const quiet = (...texts: string[]) => texts.flatMap((text) => parseQuietHours(text) ?? [])

describe('quiet hours', () => {
  it.each([
    ['22:00-07:00', { fromMinute: at(22), toMinute: at(7) }],
    [' 9:30-12:00 ', { fromMinute: at(9, 30), toMinute: at(12) }],
    ['00:00-24:00', { fromMinute: 0, toMinute: at(24) }],
    ['20:00-00:00', { fromMinute: at(20), toMinute: at(24) }],
  ])('%s is read', (text, expected) => {
    expect(parseQuietHours(text)).toEqual(expected)
  })

  it.each([
    '',
    '22-7',
    '22:00',
    '24:00-07:00',
    '22:60-07:00',
    '07:00-07:00',
    '00:00-00:00',
    '22:00-25:00',
    '22:00–07:00',
    'night',
  ])('"%s" is refused', (text) => {
    expect(parseQuietHours(text)).toBeUndefined()
  })

  it('begin with their first minute and are over at their last, over midnight too', () => {
    const night = quiet('22:00-07:00')
    const isQuietAt = (minute: number) => isQuiet(night, minute)
    expect([at(21, 59), at(22), at(23, 59), 0, at(6, 59), at(7)].map(isQuietAt)).toEqual([
      false,
      true,
      true,
      true,
      true,
      false,
    ])
  })

  it('hold in any of several parts of the day, and all day', () => {
    const parts = quiet('09:00-12:00', '13:00-17:00')
    expect([at(8), at(9), at(12), at(16, 59), at(17)].map((minute) => isQuiet(parts, minute))).toEqual([
      false,
      true,
      false,
      true,
      false,
    ])
    expect(isQuiet(quiet('00:00-24:00'), at(23, 59))).toBe(true)
    expect(isQuiet([], at(3))).toBe(false)
  })
})
