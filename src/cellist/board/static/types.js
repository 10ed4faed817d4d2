// @ts-check
// What travels between kernel and page. Types only: nothing of this file gets into the module that is made of these.

/**
 * @typedef {[look: string, start: number, end: number | null]} Bar
 *
 * @typedef {[share: number | null, words: string]} Doing  How far a loop of a run's code is.
 *
 * @typedef {object} Row  One run.
 * @property {string} id
 * @property {number} g  Its group.
 * @property {number} i  Its place in the group.
 * @property {string} name
 * @property {string} look
 * @property {string} word
 * @property {Bar[]} [bars]
 * @property {number} [lane]
 * @property {boolean} [shade]
 * @property {string} [took]
 * @property {number} [due]
 * @property {string} [attempt]
 * @property {string} [why]
 * @property {string[]} [notes]
 * @property {string} [diff]
 * @property {boolean} [hit]
 * @property {string} [error]
 * @property {string} [trace]
 * @property {[string, string][]} [inputs]
 * @property {string} [given]  The inputs in short.
 * @property {string} [result]
 * @property {string[]} [logs]
 * @property {string} [where]
 * @property {Doing} [doing]
 * @property {string} [node]  How far it is, where there is little room.
 * @property {Doing[]} [progress]  Of each loop of its code, outermost first.
 * @property {string[]} [tags]
 * @property {string[]} [can]
 *
 * @typedef {import("./groups.js").Group} Group  All runs of one task at one place.
 *
 * @typedef {object} Facts  What is told of a group besides its cells; later only what changed.
 * @property {number} id
 * @property {string} [name]
 * @property {string} [kind]
 * @property {number} [depth]
 * @property {string} [why]
 * @property {string | null} [error]
 * @property {number} [lanes]
 * @property {number} [pitch]
 * @property {string | null} [took]  How long many runs took together.
 * @property {string[]} [tags]
 * @property {string} [cells]  The state of each run, as its letter.
 * @property {Pace} [pace]
 *
 * @typedef {[groups: number[], places: number[], codes: string]} Cells  The runs whose state changed.
 *
 * @typedef {[place: number, look: string, number: number]} Part  Of a column.
 *
 * @typedef {object} Pace  How many runs of a group ended when and how.
 * @property {number} begin
 * @property {number} width  Of a column, in milliseconds.
 * @property {Part[]} [parts]  Columns from below, the worst first.
 * @property {Part[]} [changed]  On the way: those that differ.
 *
 * @typedef {object} Drawing
 * @property {number} w
 * @property {number} h
 * @property {[number, number, number][]} nodes
 * @property {[number, number, string, string][]} edges
 *
 * @typedef {object} Graph
 * @property {Drawing} wide
 * @property {Drawing} tall
 * @property {[number, number]} node
 * @property {string | null} more
 *
 * @typedef {object} Header
 * @property {string} title
 * @property {string | null} lone  The run, if it is the only one.
 * @property {string | null} why  Of that run: how it failed, or why it ran or did not.
 * @property {string} look
 * @property {string} word
 * @property {number | null} start
 * @property {number | null} end
 * @property {string | null} took
 * @property {string | null} [usual]  How long such runs took before.
 * @property {[number, number | null][]} [idle]  When everything that had begun waited.
 * @property {string} runs
 * @property {[string, number][]} counts
 * @property {string | null} saved
 * @property {string | null} [note]  What goes on, or what took long.
 * @property {{due: number, name: string, run: string, attempt: string, error: string | null, more: string | null} | null} next
 * @property {Failure | null} [failure]
 * @property {string[]} cancel
 * @property {string} sentence
 *
 * @typedef {object} Failure  What failed last, and what can be done about it.
 * @property {string} run
 * @property {string} name
 * @property {string} text
 * @property {string | null} error
 * @property {string | null} retry  The run that would run again.
 * @property {boolean} inputs
 * @property {boolean} trace
 *
 * @typedef {object} FormField  One thing that a pause asks.
 * @property {string} name
 * @property {string} label
 * @property {string} kind  text, secret, integer, number, bool, select, date, datetime, time or json.
 * @property {boolean} required
 * @property {boolean} [nullable]
 * @property {boolean} [long]
 * @property {string} [help]
 * @property {string | boolean} [default]
 * @property {string[]} [options]
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [longest]
 *
 * @typedef {object} Form  What an open pause asks.
 * @property {string} run
 * @property {string} key
 * @property {string} title
 * @property {string | null} asks
 * @property {string | null} help
 * @property {FormField[]} fields
 * @property {number | null} due
 * @property {string[]} notes
 *
 * @typedef {object} Message
 * @property {string} kind
 * @property {number} [seq]
 * @property {number} [now]
 * @property {Record<string, [string, string, string, boolean]>} [looks]
 * @property {Header} [header]
 * @property {Facts[]} [groups]
 * @property {Cells} [cells]
 * @property {Row[]} [rows]
 * @property {Graph} [graph]
 * @property {boolean} [closed]
 * @property {string} [token]
 * @property {string} [text]
 * @property {number} [fit]  How many runs fit a search.
 * @property {Form[]} [forms]
 * @property {Record<string, string>} [errors]
 *
 * @typedef {object} Model  What anywidget gives a view.
 * @property {(name: string) => any} get
 * @property {(message: object) => void} send
 * @property {(event: string, receive: (message: any) => void) => void} on
 * @property {(event: string, receive: (message: any) => void) => void} off
 *
 * @typedef {object} Painter  One part of the board.
 * @property {HTMLElement} el
 * @property {() => void} [measure]  Look how large it is; before anything is written, or all would be laid out twice.
 * @property {() => void} paint  Draw what the store holds.
 * @property {boolean} [isBehind]  Whether something out of sight was left for a later frame.
 * @property {(now: number) => void} tick  Move what moves with time.
 * @property {() => void} mark  Show what is marked.
 * @property {(group: number) => void} focus  Give the keyboard's focus to what stands for a group.
 * @property {() => void} [stop]  Let go of what outlives the elements.
 */

export {};
