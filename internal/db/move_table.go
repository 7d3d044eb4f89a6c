package db

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// class is a type that both engines have.
type class byte

const (
	classInt class = iota + 1
	classBool
	classText
	classBytes
)

// classes are the declared types that migrations use, as SQLite keeps them and as
// PostgreSQL names them.
var classes = map[string]class{
	"BIGINT": classInt, "INTEGER": classInt, "BOOLEAN": classBool, "TEXT": classText, "BYTEA": classBytes,
}

type column struct {
	name  string
	class class
}

// table is one table as the schema describes it.
type table struct {
	name    string
	columns []column
	key     []int // the columns of its primary key
}

func (t table) quoted() string { return `"` + t.name + `"` }

func (t table) columnList() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = `"` + c.name + `"`
	}
	return strings.Join(names, ", ")
}

func (t table) keyList() string {
	names := make([]string, len(t.key))
	for i, at := range t.key {
		names[i] = `"` + t.columns[at].name + `"`
	}
	return strings.Join(names, ", ")
}

// Where a schema is described, in the words of each engine. The tables of
// migrations and of moves stay where they are.
const (
	sqliteTables = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`
	sqliteTable  = `SELECT name, upper(type), pk FROM pragma_table_info($1) ORDER BY cid`

	postgresTables = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename COLLATE "C"`
	postgresTable  = `SELECT a.attname, upper(format_type(a.atttypid, a.atttypmod)), coalesce(array_position(i.indkey::int[], a.attnum::int), -1) + 1
		FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
)

var notMoved = map[string]bool{"goose_db_version": true, "installation_move": true, "installation_move_table": true}

// tables reads the schema.
func (s *side) tables(ctx context.Context) (list []table, err error) {
	query, describe := sqliteTables, sqliteTable
	if s.engine.postgres != nil {
		query, describe = postgresTables, postgresTable
	}
	names, err := s.texts(ctx, query)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if notMoved[name] {
			continue
		}
		t, err := s.describe(ctx, describe, name)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

func (s *side) texts(ctx context.Context, query string) (list []string, err error) {
	rows, err := s.pool.QueryContext(ctx, query)
	if err != nil {
		return nil, s.engine.classify(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

func (s *side) describe(ctx context.Context, query, name string) (table, error) {
	t := table{name: name}
	rows, err := s.pool.QueryContext(ctx, query, name)
	if err != nil {
		return t, s.engine.classify(err)
	}
	defer func() { _ = rows.Close() }()
	places := map[int]int{} // in the key, from 1, to the column
	for rows.Next() {
		var column column
		var kind string
		var place int
		if err := rows.Scan(&column.name, &kind, &place); err != nil {
			return t, err
		}
		if column.class = classes[kind]; column.class == 0 {
			return t, fmt.Errorf("db: a move does not know the type %s of %s.%s", kind, name, column.name)
		}
		if place > 0 {
			places[place] = len(t.columns)
		}
		t.columns = append(t.columns, column)
	}
	for place := 1; place <= len(places); place++ {
		t.key = append(t.key, places[place])
	}
	if len(t.key) == 0 {
		return t, fmt.Errorf("db: a move needs a primary key, and %s has none", name)
	}
	return t, rows.Err()
}

// sameTables are the tables of both sides.
func sameTables(ctx context.Context, from, to *side) ([]table, error) {
	here, err := from.tables(ctx)
	if err != nil {
		return nil, err
	}
	there, err := to.tables(ctx)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(here, there) {
		return nil, errors.New("db: the two databases do not have the same tables; use the newest build that has served either, and an empty database to move to")
	}
	return here, nil
}

// mustBeFresh refuses a database that holds more than migrations put there. It is
// held against one that was just made.
func (s *side) mustBeFresh(ctx context.Context, tables []table) (err error) {
	dir, err := os.MkdirTemp("", "sekisho-fresh-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fresh, err := openAlone(ctx, filepath.Join(dir, "fresh.db"), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fresh.close()) }()
	for _, t := range tables {
		made, err := fresh.digest(ctx, t, func(int64) {})
		if err != nil {
			return err
		}
		if n, err := s.count(ctx, t); err != nil {
			return err
		} else if n > made.rows { // without reading what may be big
			return fmt.Errorf("db: this database is not empty: %s has rows; make an empty one", t.name)
		}
		if found, err := s.digest(ctx, t, func(int64) {}); err != nil {
			return err
		} else if found != made {
			return fmt.Errorf("db: this database is not empty: %s has rows; make an empty one", t.name)
		}
	}
	return nil
}

// encodeKey and decodeKey keep the key of a row between two runs.
func (t table) encodeKey(key []any) (string, error) {
	texts := make([]string, len(key))
	for i, value := range key {
		switch value := value.(type) {
		case int64:
			texts[i] = strconv.FormatInt(value, 10)
		case bool:
			texts[i] = strconv.FormatBool(value)
		case string:
			texts[i] = value
		case []byte:
			texts[i] = base64.StdEncoding.EncodeToString(value)
		}
	}
	text, err := json.Marshal(texts)
	return string(text), err
}

func (t table) decodeKey(text string) (key []any, err error) {
	var texts []string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, err
	}
	if len(texts) != len(t.key) {
		return nil, errors.New("the key of the last row that was moved does not fit the table")
	}
	for i, text := range texts {
		var value any
		switch t.columns[t.key[i]].class {
		case classInt:
			value, err = strconv.ParseInt(text, 10, 64)
		case classBool:
			value, err = strconv.ParseBool(text)
		case classText:
			value = text
		case classBytes:
			value, err = base64.StdEncoding.DecodeString(text)
		}
		if err != nil {
			return nil, err
		}
		key = append(key, value)
	}
	return key, nil
}
