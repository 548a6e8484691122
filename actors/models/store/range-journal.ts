import { crc32 } from 'node:zlib'
import { type FileHandle, open } from 'node:fs/promises'
import { type ByteRange, RangeSet } from '../../../machines/models/range-set.ts'

/**
 * Which bytes of an unfinished file are there, as a file of records that is only ever appended to:
 *
 *   | start (6 bytes) | end (6) | CRC-32 of the data (4) | CRC-32 of this record (4) |
 *
 * A record follows its data. After `kill -9` both are in the system's cache and nothing is lost. After a power cut a
 * record may be there whose data is not: so every few megabytes the data is flushed, and then a mark written, a record
 * of no bytes that tells in place of the first CRC how many records came before the flush. Of those that no mark covers
 * the data itself is checked. A record that takes back what was there has its start and end the other way round. The
 * first record that is damaged ends the journal.
 */
const recordBytes = 20

export class RangeJournal {
  readonly ranges: RangeSet
  readonly #file: FileHandle
  readonly #data: FileHandle
  #length: number
  /** Appending is one after the other; writing data is not. */
  #last: Promise<void> = Promise.resolve()
  #unmarkedBytes = 0
  readonly #markEveryBytes: number

  private constructor(
    file: FileHandle,
    data: FileHandle,
    ranges: RangeSet,
    length: number,
    markEveryBytes: number,
  ) {
    this.#file = file
    this.#data = data
    this.ranges = ranges
    this.#length = length
    this.#markEveryBytes = markEveryBytes
  }

  /** @param data the file that it is about; it stays the caller's to close */
  static async open(path: string, data: FileHandle, markEveryBytes: number): Promise<RangeJournal> {
    const file = await open(path, 'a+', 0o600)
    try {
      const records = parse(await file.readFile())
      const { ranges, isWhole } = await replay(records, data)
      const journal = new RangeJournal(file, data, ranges, records.length * recordBytes, markEveryBytes)
      // Rewritten short: a file that came in many small pieces, or was torn, starts anew.
      if (!isWhole || records.length > ranges.ranges.length * 2 + 16) await journal.#rewrite()
      else await file.truncate(journal.#length)
      return journal
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Says that `data` was written at `start`. Resolves when the record is with the system. */
  async add(start: number, data: Uint8Array): Promise<void> {
    const end = start + data.byteLength
    await this.#append(toRecord(start, end, crc32(data)))
    this.ranges.add(start, end)
    this.#unmarkedBytes += data.byteLength
    if (this.#unmarkedBytes < this.#markEveryBytes) return
    this.#unmarkedBytes = 0
    await this.flush()
  }

  /** Says that these bytes are not there after all. */
  async remove(start: number, end: number): Promise<void> {
    this.ranges.remove(start, end)
    await this.#append(toRecord(end, start, 0))
    await this.flush()
  }

  /** What was said so far survives a power cut when this resolves. */
  async flush(): Promise<void> {
    await this.#last
    // What others add meanwhile is not covered: their data may miss the flush.
    const covered = this.#length / recordBytes
    await this.#data.datasync()
    await this.#append(toRecord(0, 0, covered))
    await this.#file.datasync()
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined)
    await this.#file.close()
  }

  #append(record: Buffer): Promise<void> {
    const appended = this.#last.then(async () => {
      try {
        await this.#file.appendFile(record)
        this.#length += recordBytes
      } catch (error) {
        // Half a record would hide all that follow.
        await this.#file.truncate(this.#length).catch(() => undefined)
        throw error
      }
    })
    this.#last = appended.catch(() => undefined)
    return appended
  }

  async #rewrite(): Promise<void> {
    await this.#data.datasync()
    await this.#file.truncate(0)
    const records = this.ranges.ranges.map(({ start, end }) => toRecord(start, end, 0))
    await this.#file.appendFile(Buffer.concat([...records, toRecord(0, 0, records.length)]))
    await this.#file.datasync()
    this.#length = (records.length + 1) * recordBytes
  }
}

interface JournalRecord extends ByteRange {
  readonly dataCrc: number
}

const isMark = ({ start, end }: JournalRecord): boolean => start === 0 && end === 0

function toRecord(start: number, end: number, dataCrc: number): Buffer {
  const record = Buffer.alloc(recordBytes)
  record.writeUIntLE(start, 0, 6)
  record.writeUIntLE(end, 6, 6)
  record.writeUInt32LE(dataCrc, 12)
  record.writeUInt32LE(crc32(record.subarray(0, 16)), 16)
  return record
}

function parse(bytes: Buffer): JournalRecord[] {
  const records: JournalRecord[] = []
  for (let at = 0; at + recordBytes <= bytes.length; at += recordBytes) {
    const record = bytes.subarray(at, at + recordBytes)
    if (record.readUInt32LE(16) !== crc32(record.subarray(0, 16))) break
    records.push({
      start: record.readUIntLE(0, 6),
      end: record.readUIntLE(6, 6),
      dataCrc: record.readUInt32LE(12),
    })
  }
  return records
}

async function replay(
  records: readonly JournalRecord[],
  data: FileHandle,
): Promise<{ ranges: RangeSet; isWhole: boolean }> {
  const ranges = new RangeSet()
  const covered = records.reduce(
    (most, record) => (isMark(record) ? Math.max(most, record.dataCrc) : most),
    0,
  )
  let isWhole = true
  for (const [index, record] of records.entries()) {
    const { start, end, dataCrc } = record
    if (start > end) ranges.remove(end, start)
    else if (index < covered || isMark(record) || (await hasCrc(data, start, end, dataCrc)))
      ranges.add(start, end)
    else isWhole = false
  }
  return { ranges, isWhole }
}

/** Bytes that are read at once to check a record. */
const readBytes = 1024 * 1024

async function hasCrc(data: FileHandle, start: number, end: number, expected: number): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(Math.min(readBytes, end - start))
  let crc = 0
  for (let at = start; at < end;) {
    const { bytesRead } = await data.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) return false
    crc = crc32(buffer.subarray(0, bytesRead), crc)
    at += bytesRead
  }
  return crc === expected
}
