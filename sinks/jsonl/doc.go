// Package jsonl writes and reads results.jsonl, the results of one source in the
// order of the source's time.
//
// The first line is a header, the last a summary, and every line between is one
// event; docs/results.schema.json describes them. Nothing in the results of a file
// depends on the wall clock or on the machine, so the same source and models give
// the same bytes; events of live sources say their wall and lag too. Each line is one write to the file: a run that is killed leaves whole
// lines in results.jsonl.part.
//
// The pipeline of package seehear calls the [Sink]; tests, the report and the
// check for a finished run call the [Reader].
// Package web/hub sends the same objects to viewers, through [AppendMembers],
// [AppendStreams] and [AppendModels].
package jsonl

// Name is the name of the file in the folder of the results.
const Name = "results.jsonl"
