"""Asks the queries beside this file of a folder of exports, in Spark or, as well, in DuckDB or ClickHouse (chdb).

    spark-submit fleet.py s3a://traces/connections                 all of them, as a line of JSON per row
    python3 fleet.py --engine duckdb lake/connections pipes        one

The folder is what `sockshim export --format parquet --connections -o lake/connections/release=v7` has written to: the
partitions are release, host and date.
"""
import argparse, json, os, pathlib, re


def queries():
    text = (pathlib.Path(__file__).parent / "queries.sql").read_text()
    text = re.sub(r"^-- (?!name: ).*\n", "", text, flags=re.M)
    return dict(re.findall(r"^-- name: (\w+)\n(.*?);", text, flags=re.M | re.S))


def spark(folder):
    from pyspark.sql import SparkSession

    # Names with dots stand in double quotes, as everywhere else, and v1.10 is no number.
    settings = {
        "spark.sql.ansi.enabled": "true",
        "spark.sql.ansi.doubleQuotedIdentifiers": "true",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.appName("sockshim")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.read.parquet(folder).createOrReplaceTempView("connections")
    return lambda query: [row.asDict() for row in session.sql(query).collect()]


def duckdb(folder):
    import duckdb

    files = f"'{folder}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false, union_by_name = true"
    database = duckdb.connect()
    database.execute(f"CREATE VIEW connections AS SELECT * FROM read_parquet({files})")

    def ask(query):
        answer = database.execute(query)
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row)) for row in answer.fetchall()]

    return ask


def clickhouse(folder):
    from chdb import session

    database = session.Session()
    database.query("CREATE DATABASE fleet")
    database.query(
        f"CREATE VIEW fleet.connections AS SELECT * FROM file('{folder}/**/*.parquet', Parquet)"
        " SETTINGS use_hive_partitioning = 1"
    )

    def ask(query):
        query = query.replace("FROM connections", "FROM fleet.connections").replace("JOIN connections", "JOIN fleet.connections")
        # SUM over nothing and 64 bits are what the others say.
        settings = "output_format_json_quote_64bit_integers = 0, join_use_nulls = 1, aggregate_functions_null_for_empty = 1"
        text = database.query(f"{query} SETTINGS {settings}", "JSONEachRow").bytes().decode()
        return [json.loads(line) for line in text.splitlines()]

    return ask


ENGINES = {"spark": spark, "duckdb": duckdb, "clickhouse": clickhouse}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, default="spark")
    parser.add_argument("folder")
    parser.add_argument("query", nargs="*", help="which ones: " + ", ".join(queries()))
    flags = parser.parse_args()
    ask = ENGINES[flags.engine](flags.folder)
    for name in flags.query or queries():
        for row in ask(queries()[name]):
            print(json.dumps({"query": name, **row}, default=str))
